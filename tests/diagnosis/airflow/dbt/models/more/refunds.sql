{{ config(tags=["more"]) }}
select * from raw.refunds
