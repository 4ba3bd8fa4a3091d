{{ config(tags=["more"]) }}
select 1 as n
