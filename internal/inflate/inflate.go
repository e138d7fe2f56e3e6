// Package inflate decodes DEFLATE (RFC 1951) from a peer that is not trusted,
// as it arrives.
//
// Unlike compress/flate it gives out what can be decoded as soon as it is there,
// wherever in a block the input stops for now: some senders end what they say
// with an empty block of less than an octet (zlib's partial flush), after which
// a reader that waits for whole blocks waits for ever. It keeps its place
// through that, holds no more history than there was output, and refuses input
// that becomes far more output than honest text does.
package inflate

import (
	"encoding/binary"
	"errors"
	"io"
)

// Errors of decoding. After one, every further call returns the same.
var (
	ErrCorrupt = errors.New("compressed data is corrupt")
	ErrTooMuch = errors.New("compressed data expands too much")
)

// Bounds of what may be made of the input: ratio octets of output for each
// octet of input, beyond an allowance. DEFLATE can reach 1:1032.
const (
	Ratio     = 200
	Allowance = 4 << 20
)

// Decoder decodes one stream. The zero value is ready. Its memory is a few
// hundred octets, the history, which grows with the output up to 32 KiB, and 4
// KiB for codes once a block has its own.
type Decoder struct {
	bits  uint64 // that were taken from the input and not used, the next one lowest
	n     uint   // how many
	state state
	last  bool // the block is the last one
	err   error

	stored       int // octets of a stored block that are still to come
	length, dist int // of a match that is being copied
	lens         lengths
	lit, far     *code // of the block
	own          *[2]code

	src     []byte // the rest of the input of the running call
	history history
	in, out int64
}

type state int

const (
	atBlock   state = iota // a block begins
	atLengths              // code lengths of a dynamic block come
	inStored
	inBlock
	ended
)

// Decode decodes src into dst. It returns how many octets of each it used: all
// of src, unless dst is full or there is an error; more output may come without
// more input when dst is full. io.EOF comes with the end of the last block.
func (d *Decoder) Decode(dst, src []byte) (nd, ns int, err error) {
	d.src = src
	for more := true; more && d.err == nil; {
		d.fill()
		nd, more = d.step(dst, nd)
		more = more || len(d.src) > 0 && nd < len(dst)
	}
	ns, d.src = len(src)-len(d.src), nil
	d.history.add(dst[:nd])
	d.in += int64(ns)
	d.out += int64(nd)
	if d.err == nil && d.out > Allowance+Ratio*d.in {
		d.err = ErrTooMuch
	}
	return nd, ns, d.err
}

// fill takes bits from the input: enough for one step, which is a literal or
// length code and a distance code with their extra bits, 48 together, unless
// the input ends.
func (d *Decoder) fill() {
	if len(d.src) >= 8 {
		d.bits |= binary.LittleEndian.Uint64(d.src) << d.n // above n stands what comes next
		k := (63 - d.n) / 8
		d.src = d.src[k:]
		d.n += 8 * k
		return
	}
	for d.n <= 56 && len(d.src) > 0 {
		d.bits |= uint64(d.src[0]) << d.n
		d.n += 8
		d.src = d.src[1:]
	}
}

// step does what the bits that are there allow; more is false when it needs
// more of them, or room in dst.
func (d *Decoder) step(dst []byte, nd int) (n int, more bool) {
	switch d.state {
	case atBlock:
		return nd, d.begin()
	case atLengths:
		return nd, d.readLengths()
	case inStored:
		return d.copyStored(dst, nd)
	case inBlock:
		return d.block(dst, nd)
	}
	d.err = io.EOF
	return nd, false
}

func (d *Decoder) fail() bool {
	d.err = ErrCorrupt
	return false
}

// take removes n bits and returns them.
func (d *Decoder) take(n uint) int {
	v := d.bits & (1<<n - 1)
	d.bits >>= n
	d.n -= n
	return int(v)
}

// end goes on behind a block.
func (d *Decoder) end() {
	d.state = atBlock
	if d.last {
		d.state = ended
	}
}

// begin reads the header of a block (RFC 1951 §3.2.3).
func (d *Decoder) begin() bool {
	if d.n < 3 {
		return false
	}
	switch kind := d.bits >> 1 & 3; kind {
	case 0:
		skip := 3 + (d.n-3)%8 // to the next octet
		if d.n < skip+32 {
			return false
		}
		d.last = d.bits&1 != 0
		d.take(skip)
		d.stored = d.take(16)
		if d.take(16) != d.stored^0xffff {
			return d.fail()
		}
		d.state = inStored
	case 1:
		d.last = d.take(3)&1 != 0
		d.lit, d.far, d.state = &fixedLit, &fixedDist, inBlock
	case 2:
		if d.n < 17 {
			return false
		}
		d.last = d.take(3)&1 != 0
		d.lens.begin(d.take(5)+257, d.take(5)+1, d.take(4)+4)
		if d.lens.lits > maxLits || d.lens.dists > maxDists {
			return d.fail()
		}
		d.state = atLengths
	default:
		return d.fail()
	}
	return true
}

func (d *Decoder) copyStored(dst []byte, nd int) (int, bool) {
	for d.stored > 0 && d.n >= 8 && nd < len(dst) {
		dst[nd] = byte(d.take(8))
		nd++
		d.stored--
	}
	if d.n < 8 && d.stored > 0 {
		d.bits, d.n = 0, 0 // there were none left
		k := copy(dst[nd:], d.src[:min(d.stored, len(d.src))])
		d.src, nd, d.stored = d.src[k:], nd+k, d.stored-k
	}
	if d.stored == 0 {
		d.end()
		return nd, true
	}
	return nd, false
}

// block decodes literals and matches (RFC 1951 §3.2.5).
func (d *Decoder) block(dst []byte, nd int) (int, bool) {
	for {
		nd = d.copyMatch(dst, nd)
		d.fill()
		sym, used := d.lit.decode(d.bits, d.n)
		switch {
		case used == 0:
			return nd, d.starved(d.n)
		case sym == 256:
			d.take(used)
			d.end()
			return nd, true
		case nd == len(dst):
			return nd, false
		case sym < 256:
			d.take(used)
			dst[nd] = byte(sym)
			nd++
		default:
			if !d.match(sym-257, used, nd) {
				return nd, false
			}
		}
	}
}

// starved tells a code that is not there yet from one that does not exist.
func (d *Decoder) starved(n uint) bool {
	if n >= maxCode {
		return d.fail()
	}
	return false
}

// match reads the rest of a match of which the length's code has used bits.
func (d *Decoder) match(sym int, used uint, nd int) bool {
	if sym >= len(lengthBase) {
		return d.fail()
	}
	extra := uint(lengthExtra[sym])
	length := int(lengthBase[sym]) + int(d.bits>>used&(1<<extra-1))
	if used += extra; used > d.n {
		return false
	}
	far, more := d.far.decode(d.bits>>used, d.n-used)
	if more == 0 {
		return d.starved(d.n - used)
	}
	if far >= len(distBase) {
		return d.fail()
	}
	used, extra = used+more, uint(distExtra[far])
	dist := int(distBase[far]) + int(d.bits>>used&(1<<extra-1))
	if used += extra; used > d.n {
		return false
	}
	if dist > d.history.len()+nd {
		return d.fail()
	}
	d.bits >>= used
	d.n -= used
	d.length, d.dist = length, dist
	return true
}

// copyMatch copies what there is room for. The history ends where dst begins.
func (d *Decoder) copyMatch(dst []byte, nd int) int {
	for d.length > 0 && nd < len(dst) {
		to := dst[nd:min(len(dst), nd+d.length)]
		n := 0
		if d.dist > nd {
			n = d.history.copy(to, d.dist-nd)
		} else {
			n = copy(to, dst[nd-d.dist:nd])
		}
		nd += n
		d.length -= n
	}
	return nd
}
