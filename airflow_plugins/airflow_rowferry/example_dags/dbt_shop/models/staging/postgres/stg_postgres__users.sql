with users as (

    select
        cast(id as varchar) as user_id,
        lower(trim(email)) as email,
        full_name,
        upper(trim(country)) as country,
        {{ known_timestamp('created_at') }} as created_at,
        {{ known_timestamp('updated_at') }} as updated_at,
        deleted_at,
        _extracted_at
    from {{ latest(source('postgres', 'users')) }}
    where _deleted_at is null

)

select
    {{ generate_surrogate_key(['user_id']) }} as user_sk,
    user_id,
    email,
    full_name,
    country,
    created_at,
    updated_at,
    deleted_at,
    _extracted_at,
    {{ dbt_updated_at() }} as _dbt_updated_at
from users
