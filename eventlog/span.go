package eventlog

import "slices"

// streamSpan is the versions that a commit gives to a stream.
type streamSpan struct {
	name        string
	first, last uint64
}

// spans returns the number of streams.
func (c *commit) spans() (n uint32) {
	for i := range c.events {
		if c.events[i].span == n {
			n++
		}
	}
	return n
}

// streams returns the streams of c in the order of their first events, and notes
// in each event which of them is its own. It uses the memory of spans, if that is
// enough.
func (c *commit) streams(spans []streamSpan) []streamSpan {
	var at map[string]int // only when there are many
	for i := range c.events {
		e := &c.events[i]
		j := -1
		switch {
		case i > 0 && c.events[i-1].stream == e.stream:
			j = int(c.events[i-1].span)
		case at != nil:
			if k, ok := at[e.stream]; ok {
				j = k
			}
		default:
			j = slices.IndexFunc(spans, func(s streamSpan) bool { return s.name == e.stream })
		}
		if j < 0 {
			j = len(spans)
			spans = append(spans, streamSpan{e.stream, e.version, e.version - 1})
			at = enter(at, spans)
		}
		spans[j].last++
		e.span = uint32(j)
	}
	return spans
}

// enter adds the last of spans to the map of all, which there is only for many.
func enter(at map[string]int, spans []streamSpan) map[string]int {
	if at == nil && len(spans) > 16 {
		at = make(map[string]int)
		for i, s := range spans {
			at[s.name] = i
		}
	}
	if at != nil {
		at[spans[len(spans)-1].name] = len(spans) - 1
	}
	return at
}
