{{ config(tags=["more"]) }}
select 'ann' as name union all select null
