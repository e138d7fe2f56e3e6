package engine

import (
	"encoding/binary"
	"math"
)

// BlobID names a body for ever. IDs ascend in the order of commits and are
// never given twice; 0 is no body.
type BlobID uint64

// A BlobID is where the record that first held the body began.
func newBlobID(segment uint32, off int64) BlobID { return BlobID(segment)<<32 | BlobID(off) }

// blob is what the index knows of a body that has references.
type blob struct {
	segment uint32 // where it is now
	off     int64  // of its first octet in the segment
	size    int64  // octets
	sum     uint32 // of its only chunk, or of the table of checksums before it
	refs    uint32
}

const (
	blobKeyLen   = 2 + 8
	blobValueLen = 4 + 4 + 8 + 4 + 4
	blobOpLen    = 1 + 1 + blobKeyLen + 1 + blobValueLen // as a change in a record
)

func blobKey(id BlobID) []byte {
	return binary.BigEndian.AppendUint64([]byte(keyBlob), uint64(id))
}

// blobOfKey returns the body that an index key describes.
func blobOfKey(key []byte) (BlobID, bool) {
	if len(key) != blobKeyLen || string(key[:2]) != keyBlob {
		return 0, false
	}
	return BlobID(binary.BigEndian.Uint64(key[2:])), true
}

func (b blob) value() []byte {
	v := make([]byte, 0, blobValueLen)
	v = binary.BigEndian.AppendUint32(v, b.segment)
	v = binary.BigEndian.AppendUint32(v, uint32(b.off))
	v = binary.BigEndian.AppendUint64(v, uint64(b.size))
	v = binary.BigEndian.AppendUint32(v, b.sum)
	return binary.BigEndian.AppendUint32(v, b.refs)
}

func parseBlob(v []byte) (blob, error) {
	if len(v) != blobValueLen {
		return blob{}, &Damage{What: "description of a body"}
	}
	b := blob{
		segment: binary.BigEndian.Uint32(v),
		off:     int64(binary.BigEndian.Uint32(v[4:])),
		size:    int64(binary.BigEndian.Uint64(v[8:])),
		sum:     binary.BigEndian.Uint32(v[16:]),
		refs:    binary.BigEndian.Uint32(v[20:]),
	}
	if b.size < 0 {
		return blob{}, &Damage{What: "size of a body"}
	}
	return b, nil
}

// addRefs returns b with its count changed by n; ok is false when that is no
// possible count.
func (b blob) addRefs(n int64) (_ blob, ok bool) {
	n += int64(b.refs)
	if n < 0 || n > math.MaxUint32 {
		return b, false
	}
	b.refs = uint32(n)
	return b, true
}

// tableSum is the blob's sum for a body with these checksums.
func tableSum(sums []uint32) uint32 {
	switch len(sums) {
	case 0:
		return 0
	case 1:
		return sums[0]
	}
	b := make([]byte, 0, 4*len(sums))
	for _, s := range sums {
		b = binary.BigEndian.AppendUint32(b, s)
	}
	return checksum(b)
}
