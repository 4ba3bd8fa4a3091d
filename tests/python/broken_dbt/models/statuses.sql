select 'placed' as status
