package outbox

// LimitWaiting sets how many steps of a shard may wait beside its cursor.
func (r *Runner) LimitWaiting(n int) { r.maxOpen = n }
