{{ snapshot_history(ref('snap_users')) }}
