package lexicon

import "encoding/binary"

// The tokens of a group are written by what each has not in common with the one
// before it: an octet with how many octets it begins with as that one does (at
// most 15) in its high half, and how many follow in its low half; or 0 there,
// and an octet with how many follow.

// appendToken appends a token that comes after before.
func appendToken(b, before, token []byte) []byte {
	shared := 0
	for shared < min(len(before), len(token), 15) && before[shared] == token[shared] {
		shared++
	}
	rest := token[shared:]
	if len(rest) < 16 {
		b = append(b, byte(shared<<4|len(rest)))
	} else {
		b = append(b, byte(shared<<4), byte(len(rest)))
	}
	return append(b, rest...)
}

// plainTokens makes of the tokens of a group, as they are written, an LF and
// each token with an LF, of so many octets together, and returns how many there
// are. It uses the space of dst. Most copies are of few octets, so 16 are copied
// where there is room: what was too much is written over.
func plainTokens(dst, b []byte, octets int) (plain []byte, count int, err error) {
	if cap(dst) < octets+16 {
		dst = make([]byte, octets+16)
	}
	dst = dst[:octets+16]
	dst[0] = '\n'
	before, at := 1, 1 // where the last token begins, and where it ended
	for len(b) > 0 {
		shared, n := int(b[0]>>4), int(b[0]&15)
		b = b[1:]
		if n == 0 && len(b) > 0 {
			n = int(b[0])
			b = b[1:]
		}
		end := at + shared + n + 1
		if n > len(b) || end > octets || shared > at-before {
			return nil, 0, ErrDamaged
		}
		copy16(dst[at:], dst[before:])
		if n <= 16 && len(b) >= 16 {
			copy16(dst[at+shared:], b)
		} else {
			copy(dst[at+shared:], b[:n])
		}
		dst[end-1] = '\n'
		b, before, at = b[n:], at, end
		count++
	}
	if at != octets {
		return nil, 0, ErrDamaged
	}
	return dst[:octets], count, nil
}

// copy16 copies 16 octets, the first 8 and then the others.
func copy16(to, from []byte) {
	binary.LittleEndian.PutUint64(to, binary.LittleEndian.Uint64(from))
	binary.LittleEndian.PutUint64(to[8:], binary.LittleEndian.Uint64(from[8:]))
}
