package eventlog

// listeners are functions that want to hear of something. They are guarded by Log.mu,
// and called without it.
type listeners[T any] map[*func(T)]struct{}

// listen adds f to to, until remove is called.
func listen[T any](l *Log, to listeners[T], f func(T)) (remove func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	to[&f] = struct{}{}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(to, &f)
	}
}

// now returns who listens at this moment. The caller holds Log.mu.
func (to listeners[T]) now() (list []func(T)) {
	for f := range to {
		list = append(list, *f)
	}
	return list
}
