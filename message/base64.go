package message

import "io"

// base64Values maps an octet to its six bits, or to 0xff.
var base64Values = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xff
	}
	for i, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") {
		t[c] = byte(i)
	}
	return t
}()

// base64Quantum holds the characters of a group of four that is not complete.
type base64Quantum struct {
	bits uint32
	n    int
}

// append decodes src to b. Octets outside the alphabet are passed over (RFC
// 2045 §6.8); padding ends a group, and more may follow it.
func (q *base64Quantum) append(b, src []byte) []byte {
	for i := 0; i < len(src); i++ {
		for q.n == 0 && i+4 <= len(src) {
			v0, v1, v2, v3 := base64Values[src[i]], base64Values[src[i+1]], base64Values[src[i+2]], base64Values[src[i+3]]
			if (v0|v1|v2|v3)&0x80 != 0 {
				break
			}
			b = append(b, v0<<2|v1>>4, v1<<4|v2>>2, v2<<6|v3)
			i += 4
		}
		if i == len(src) {
			break
		}
		v := base64Values[src[i]]
		switch {
		case v != 0xff:
			q.bits = q.bits<<6 | uint32(v)
			if q.n++; q.n == 4 {
				b = append(b, byte(q.bits>>16), byte(q.bits>>8), byte(q.bits))
				q.n = 0
			}
		case src[i] == '=':
			b = q.flush(b)
		}
	}
	return b
}

// flush decodes what there is of a group whose padding came or is missing.
func (q *base64Quantum) flush(b []byte) []byte {
	switch q.n {
	case 2:
		b = append(b, byte(q.bits>>4))
	case 3:
		b = append(b, byte(q.bits>>10), byte(q.bits>>2))
	}
	q.n = 0
	return b
}

// base64Reader decodes a stream in pieces.
type base64Reader struct {
	src     io.Reader
	quantum base64Quantum
	in      [8 << 10]byte
	out     []byte // decoded
	rest    []byte // the part of out that was not yet read
	err     error
}

func (r *base64Reader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 && len(p) > 0 {
		if r.err != nil {
			return 0, r.err
		}
		var n int
		n, r.err = r.src.Read(r.in[:])
		r.out = r.quantum.append(r.out[:0], r.in[:n])
		if r.err == io.EOF {
			r.out = r.quantum.flush(r.out)
		}
		r.rest = r.out
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
