select * from {{ ref('averages') }}
