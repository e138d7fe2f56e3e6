package lexicon

import "encoding/binary"

// A list names messages by their distance from the segment's first UID,
// ascending. It is written as gaps or as bits, whichever is shorter: the first
// number and then how many lie between one and the next, as uvarints; or how
// many octets of zeros are left out, as uvarint, and an octet for 8 messages,
// the first in its lowest bit.

// appendList appends a list that is not empty. bits tells how it was written.
func appendList(b []byte, list []uint32) (out []byte, bits bool) {
	first, last := list[0], list[len(list)-1]
	if octets := (last-first)/8 + 4; int(octets) < len(list) {
		return appendBits(b, list), true
	}
	return appendGaps(b, list), false
}

func appendGaps(b []byte, list []uint32) []byte {
	next := uint32(0)
	for _, n := range list {
		b = binary.AppendUvarint(b, uint64(n-next))
		next = n + 1
	}
	return b
}

func appendBits(b []byte, list []uint32) []byte {
	skip := list[0] / 8
	b = binary.AppendUvarint(b, uint64(skip))
	start := len(b)
	b = append(b, make([]byte, list[len(list)-1]/8-skip+1)...)
	for _, n := range list {
		b[start+int(n/8-skip)] |= 1 << (n % 8)
	}
	return b
}

// readList calls f with the numbers of a list, which are below end.
func readList(b []byte, bits bool, end uint64, f func(n uint32)) error {
	if bits {
		return readBits(b, end, f)
	}
	for next := uint64(0); len(b) > 0; {
		gap, k := binary.Uvarint(b)
		if k <= 0 || gap >= end-next {
			return ErrDamaged
		}
		f(uint32(next + gap))
		next += gap + 1
		b = b[k:]
	}
	return nil
}

func readBits(b []byte, end uint64, f func(n uint32)) error {
	skip, k := binary.Uvarint(b)
	if k <= 0 || skip > end/8 {
		return ErrDamaged
	}
	for i, octet := range b[k:] {
		for n := (skip + uint64(i)) * 8; octet != 0; n, octet = n+1, octet>>1 {
			switch {
			case octet&1 == 0:
			case n >= end:
				return ErrDamaged
			default:
				f(uint32(n))
			}
		}
	}
	return nil
}
