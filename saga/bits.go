package saga

import "math/bits"

// bitset is a set of small numbers: the children of a fan-out. As JSON it is
// base64.
type bitset []byte

func (b bitset) has(i int) bool { return i/8 < len(b) && b[i/8]&(1<<(i%8)) != 0 }

// add puts i in and reports whether it is new. It changes b in place where there
// is room.
func (b *bitset) add(i int) bool {
	if b.has(i) {
		return false
	}
	for i/8 >= len(*b) {
		*b = append(*b, 0)
	}
	(*b)[i/8] |= 1 << (i % 8)
	return true
}

func (b bitset) size() (n int) {
	for _, x := range b {
		n += bits.OnesCount8(x)
	}
	return n
}
