package eventlog

import "strings"

// cache is a bounded map in two generations: what was not used since the last
// turn is dropped at the next. It has no lock of its own.
type cache[V any] struct {
	limit      int
	young, old map[string]V
}

func newCache[V any](limit int) *cache[V] {
	return &cache[V]{limit: limit, young: make(map[string]V)}
}

func (c *cache[V]) get(key string) (V, bool) {
	if v, ok := c.young[key]; ok {
		return v, true
	}
	v, ok := c.old[key]
	if ok {
		c.put(strings.Clone(key), v) // not a piece of the caller's memory
	}
	return v, ok
}

func (c *cache[V]) put(key string, v V) {
	if len(c.young) >= c.limit {
		c.old, c.young = c.young, make(map[string]V)
	}
	c.young[key] = v
}

func (c *cache[V]) delete(key string) {
	delete(c.young, key)
	delete(c.old, key)
}
