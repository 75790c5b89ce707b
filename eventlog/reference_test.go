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

type refEvent struct {
	text, tag string
	meta      *refMeta // of the transaction or scope
}

// refMeta is the metadata that steps set.
type refMeta struct {
	chain byte
	actor string
}

func (m refMeta) String() string { return fmt.Sprintf("%d/%s", m.chain, m.actor) }

func (r *reference) clone() *reference {
	return &reference{maps.Clone(r.streams), maps.Clone(r.rows), maps.Clone(r.ids)} // slices only grow behind their end
}

func (r *reference) append(stream, text, tag string, meta *refMeta) {
	list := r.streams[stream]
	r.streams[stream] = append(list[:len(list):len(list)], refEvent{text, tag, meta})
}

func (r *reference) texts(stream string) (list []string) {
	for _, e := range r.streams[stream] {
		list = append(list, e.text)
	}
	return list
}

// chain are the texts of its events, sorted.
func (r *reference) chain(id byte) (list []string) {
	for _, stream := range r.streams {
		for _, e := range stream {
			if e.meta.chain == id {
				list = append(list, e.text)
			}
		}
	}
	slices.Sort(list)
	return list
}

// metas are those of a stream's events.
func (r *reference) metas(stream string) (list []string) {
	for _, e := range r.streams[stream] {
		list = append(list, e.meta.String())
	}
	return list
}

// play does the steps on the reference, within a transaction or scope, and
// returns what they show.
func (r *reference) play(steps []step, meta *refMeta) (saw []string) {
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
		case "chain":
			see(s.Op, r.chain(s.Chain)...)
		case "metas":
			see(s.Op, r.metas(s.Stream)...)
		case "mark":
			meta.chain = s.Chain
			meta.actor += s.Text + ","
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
			r.append(s.Stream, s.Text, s.Tag, meta)
		case "put":
			r.rows[s.Key] = s.Text
		case "delete":
			delete(r.rows, s.Key)
		case "once":
			_, done := r.ids["once "+s.Stream+" "+s.Key]
			r.ids["once "+s.Stream+" "+s.Key] = ""
			see(s.Op, fmt.Sprint(done))
		case "savepoint":
			inner, was := r.clone(), *meta
			saw = append(saw, inner.play(s.Inner, meta)...)
			if !s.Fail {
				*r = *inner
			} else {
				*meta = was
			}
		case "scope":
			inner := r.clone()
			saw = append(saw, inner.play(s.Inner, &refMeta{chain: s.Chain})...)
			if !s.Fail {
				*r = *inner
			}
		}
	}
	return saw
}
