package engine

import (
	"encoding/binary"
	"hash/crc32"
)

// A record is a fixed head, the key and value changes, the checksums of the
// body's chunks, and the body. All numbers are big endian:
//
//	 0  8  the segment's salt, which tells a record from everything else
//	 8  4  CRC-32C of octets 12 to the body
//	12  1  kind
//	13  3  zero
//	16  4  offset of this record in its segment
//	20  4  offset where its group began: all before that was synced already
//	24  4  octets of key and value changes
//	28  4  zero
//	32  8  octets of body
const recordHead = 40

// Kinds of records.
const (
	kindChange = 1 // changes, and the body they name, if any
	kindBody   = 2 // a body only; the change that names it follows
)

const (
	chunkSize  = 64 << 10 // octets of body under one checksum
	maxChanges = 64 << 20 // octets of key and value changes in one record
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// salt is drawn when a segment is made. Nobody outside knows it, so no
// message can contain what looks like a record of its segment.
type salt [8]byte

// head is what a record's fixed part says.
type head struct {
	kind    byte
	off     int64 // of the record in its segment
	group   int64 // where its group began
	changes int   // octets of changes
	body    int64 // octets of body
}

// chunks is how many chunks a body of n octets has.
func chunks(n int64) int64 { return (n + chunkSize - 1) / chunkSize }

// tableAt, bodyAt and end are offsets in the segment.
func (h head) tableAt() int64 { return h.off + recordHead + int64(h.changes) }
func (h head) bodyAt() int64  { return h.tableAt() + 4*chunks(h.body) }
func (h head) end() int64     { return h.bodyAt() + h.body }

// appendRecord adds a record up to its body to b.
func appendRecord(b []byte, s salt, h head, changes []byte, sums []uint32) []byte {
	at := len(b)
	b = append(b, s[:]...)
	b = append(b, 0, 0, 0, 0, h.kind, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(h.off))
	b = binary.BigEndian.AppendUint32(b, uint32(h.group))
	b = binary.BigEndian.AppendUint32(b, uint32(len(changes)))
	b = binary.BigEndian.AppendUint32(b, 0)
	b = binary.BigEndian.AppendUint64(b, uint64(h.body))
	b = append(b, changes...)
	for _, sum := range sums {
		b = binary.BigEndian.AppendUint32(b, sum)
	}
	binary.BigEndian.PutUint32(b[at+8:], checksum(b[at+12:]))
	return b
}

// parseHead reads a record's fixed part, which stands at off of a segment of
// size octets. It says nothing yet about the checksum.
func parseHead(b []byte, s salt, off, size int64) (h head, ok bool) {
	if len(b) < recordHead || salt(b[:8]) != s {
		return h, false
	}
	body := binary.BigEndian.Uint64(b[32:])
	h = head{
		kind:    b[12],
		off:     int64(binary.BigEndian.Uint32(b[16:])),
		group:   int64(binary.BigEndian.Uint32(b[20:])),
		changes: int(binary.BigEndian.Uint32(b[24:])),
	}
	if body > uint64(size) || h.off != off || h.group > off || h.changes > maxChanges {
		return h, false
	}
	h.body = int64(body)
	return h, h.kind == kindChange || h.kind == kindBody
}
