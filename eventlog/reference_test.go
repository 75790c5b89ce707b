package eventlog_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A reference is a log in plain maps.
type reference struct {
	streams map[string][]refEvent
	rows    map[string]string
	ids     map[string]string // content of appends, by stream and id
}

type refEvent struct{ text, tag string }

func (r *reference) clone() *reference {
	return &reference{maps.Clone(r.streams), maps.Clone(r.rows), maps.Clone(r.ids)} // slices only grow behind their end
}

func (r *reference) append(stream, text, tag string) {
	list := r.streams[stream]
	r.streams[stream] = append(list[:len(list):len(list)], refEvent{text, tag})
}

func (r *reference) texts(stream string) (list []string) {
	for _, e := range r.streams[stream] {
		list = append(list, e.text)
	}
	return list
}

// play does the steps on the reference and returns what they show.
func (r *reference) play(steps []step) (saw []string) {
	see := func(what string, list ...string) { saw = append(saw, what+": "+strings.Join(list, " ")) }
	for _, s := range steps {
		switch s.Op {
		case "load", "stream":
			see(s.Op, r.texts(s.Stream)...)
		case "backward":
			list := r.texts(s.Stream)
			slices.Reverse(list)
			see(s.Op, list[:min(2, len(list))]...)
		case "tag":
			var list []string
			for _, stream := range r.streams {
				for _, e := range stream {
					if e.tag == s.Tag {
						list = append(list, e.text)
					}
				}
			}
			slices.Sort(list)
			see(s.Op, list...)
		case "get":
			see(s.Op, r.rows[s.Key])
		case "all":
			var list []string
			for _, key := range slices.Sorted(maps.Keys(r.rows)) {
				if strings.HasPrefix(key, s.Key) {
					list = append(list, key+"="+r.rows[key])
				}
			}
			see(s.Op, list...)
		case "append":
			r.append(s.Stream, s.Text, s.Tag)
		case "put":
			r.rows[s.Key] = s.Text
		case "delete":
			delete(r.rows, s.Key)
		case "once":
			_, done := r.ids["once "+s.Stream+" "+s.Key]
			r.ids["once "+s.Stream+" "+s.Key] = ""
			see(s.Op, fmt.Sprint(done))
		case "savepoint":
			inner := r.clone()
			saw = append(saw, inner.play(s.Inner)...)
			if !s.Fail {
				*r = *inner
			}
		}
	}
	return saw
}
