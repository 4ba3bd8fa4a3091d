{% snapshot snap_users %}
{{ config(
    unique_key='user_id',
    strategy='timestamp',
    updated_at='updated_at',
    hard_deletes='invalidate',
) }}

select
    user_sk,
    user_id,
    email,
    full_name,
    country,
    created_at,
    -- A version without a time begins when it was read: with a NULL here its successors would never be seen.
    coalesce(updated_at, _extracted_at) as updated_at,
    deleted_at,
    _extracted_at
from {{ ref('stg_postgres__users') }}

{% endsnapshot %}
