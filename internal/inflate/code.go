package inflate

import "math/bits"

// Bounds of codes.
const (
	maxCode  = 15 // bits of a code
	fastBits = 9  // bits that are looked up at once
	maxLits  = 286
	maxDists = 30
)

// code is a Huffman code (RFC 1951 §3.2.2): a table for short codes, and what is
// needed to count through the long ones.
type code struct {
	fast    [1 << fastBits]uint16 // symbol<<4 | bits; 0: longer
	count   [maxCode + 1]uint16   // codes of each length
	symbols [maxLits + 2]uint16   // in the order of their codes
}

var fixedLit, fixedDist = fixed()

func fixed() (lit, dist code) {
	var lengths [288]byte
	for i := range lengths {
		switch {
		case i < 144:
			lengths[i] = 8
		case i < 256:
			lengths[i] = 9
		case i < 280:
			lengths[i] = 7
		default:
			lengths[i] = 8
		}
	}
	lit.set(lengths[:])
	for i := range 32 {
		lengths[i] = 5
	}
	dist.set(lengths[:32])
	return lit, dist
}

// set makes the code that a list of lengths says; false when they make none. As
// in zlib, a code may be incomplete only when it has one symbol, or none.
func (c *code) set(lengths []byte) bool {
	*c = code{}
	for _, n := range lengths {
		c.count[n]++
	}
	used := len(lengths) - int(c.count[0])
	c.count[0] = 0
	left := 1
	var next, at [maxCode + 2]uint16 // the next code of each length, and its place in symbols
	for n := 1; n <= maxCode; n++ {
		left = left<<1 - int(c.count[n])
		if left < 0 {
			return false
		}
		next[n+1] = (next[n] + c.count[n]) << 1
		at[n+1] = at[n] + c.count[n]
	}
	if left > 0 && (used > 1 || used == 1 && c.count[1] == 0) {
		return false
	}
	for sym, n := range lengths {
		if n == 0 {
			continue
		}
		c.symbols[at[n]] = uint16(sym)
		at[n]++
		reversed := int(bits.Reverse16(next[n]) >> (16 - n))
		next[n]++
		for i := reversed; n <= fastBits && i < len(c.fast); i += 1 << n {
			c.fast[i] = uint16(sym)<<4 | uint16(n)
		}
	}
	return true
}

// decode reads a symbol from the lowest n bits of b. used is 0 when none of the
// codes is there whole.
func (c *code) decode(b uint64, n uint) (symbol int, used uint) {
	if e := c.fast[b&(1<<fastBits-1)]; e != 0 {
		if used = uint(e & 15); used > n {
			return 0, 0
		}
		return int(e >> 4), used
	}
	word, first, index := 0, 0, 0
	for used = 1; used <= min(n, maxCode); used++ {
		word |= int(b & 1)
		b >>= 1
		count := int(c.count[used])
		if word < first+count {
			return int(c.symbols[index+word-first]), used
		}
		index += count
		first = (first + count) << 1
		word <<= 1
	}
	return 0, 0
}

// What the symbols of lengths and distances stand for (RFC 1951 §3.2.5).
var (
	lengthBase = [29]uint16{
		3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258,
	}
	lengthExtra = [29]uint8{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0}
	distBase    = [30]uint16{
		1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577,
	}
	distExtra = [30]uint8{0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13}
)
