select order_id, share from {{ ref('v_share') }}
