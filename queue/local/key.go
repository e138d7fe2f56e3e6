package local

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
	"time"

	"github.com/posthouse-mail/posthouse/internal/engine"
)

// Keys of the queue in the index. Numbers are big endian, so that the index
// is in the order of the numbers.
//
//	e id             the message, with its recipient if it was put with one
//	e id n           its recipient number n, if it was put with several
//	e id ffffffff    how many recipients are left, if it was put with several
//	d dest 0 next id n   a waiting recipient of a destination, by the time it is due
const (
	messagePrefix     = 'e'
	destinationPrefix = 'd'
	leftNumber        = math.MaxUint32
)

// entry names a recipient and when it is due.
type entry struct {
	due    int64 // nanoseconds since 1970, see stamp
	id     engine.BlobID
	number uint32
}

// name is what of an entry does not change when it is due at another time.
type name struct {
	id     engine.BlobID
	number uint32
}

func (e entry) name() name { return name{e.id, e.number} }

func (e entry) compare(o entry) int {
	return cmp.Or(cmp.Compare(e.due, o.due), cmp.Compare(e.id, o.id), cmp.Compare(e.number, o.number))
}

// mark stands between groups in a destination's order.
type mark struct {
	due int64
	id  engine.BlobID
}

// end is the mark behind all entries.
var end = mark{math.MaxInt64, math.MaxUint64}

func (e entry) mark() mark { return mark{e.due, e.id} }

func (e entry) before(m mark) bool { return e.due < m.due || e.due == m.due && e.id < m.id }

// stamp is a time as it stands in keys. Times before 1970 are 1970.
func stamp(t time.Time) int64 {
	if t.Unix() < 0 {
		return 0
	}
	if t.Year() > 2261 {
		return math.MaxInt64 - 1
	}
	return t.UnixNano()
}

func moment(stamp int64) time.Time { return time.Unix(0, stamp) }

func messageKey(id engine.BlobID) []byte {
	return binary.BigEndian.AppendUint64([]byte{messagePrefix}, uint64(id))
}

func recipientKey(id engine.BlobID, number uint32) []byte {
	b := make([]byte, 0, 13)
	b = append(b, messagePrefix)
	b = binary.BigEndian.AppendUint64(b, uint64(id))
	return binary.BigEndian.AppendUint32(b, number)
}

// parseMessageKey reads a key of any of the three kinds that begin with e.
// whole is true for the message itself.
func parseMessageKey(k []byte) (n name, whole, ok bool) {
	if len(k) != 9 && len(k) != 13 || k[0] != messagePrefix {
		return name{}, false, false
	}
	n.id = engine.BlobID(binary.BigEndian.Uint64(k[1:]))
	if len(k) == 9 {
		return n, true, true
	}
	n.number = binary.BigEndian.Uint32(k[9:])
	return n, false, true
}

// destinationKey is the beginning of all keys of a destination.
func destinationKey(destination string) []byte {
	b := make([]byte, 0, len(destination)+22)
	b = append(b, destinationPrefix)
	b = append(b, destination...)
	return append(b, 0)
}

// destinationEnd is behind all keys of a destination.
func destinationEnd(destination string) []byte {
	b := destinationKey(destination)
	b[len(b)-1] = 1
	return b
}

func entryKey(destination string, e entry) []byte {
	b := binary.BigEndian.AppendUint64(destinationKey(destination), uint64(e.due))
	b = binary.BigEndian.AppendUint64(b, uint64(e.id))
	return binary.BigEndian.AppendUint32(b, e.number)
}

// markKey is where the entries from m on begin.
func markKey(destination string, m mark) []byte {
	b := binary.BigEndian.AppendUint64(destinationKey(destination), uint64(m.due))
	return binary.BigEndian.AppendUint64(b, uint64(m.id))
}

func parseEntryKey(k []byte) (destination []byte, e entry, ok bool) {
	zero := bytes.IndexByte(k, 0)
	if zero < 1 || k[0] != destinationPrefix || len(k) != zero+21 {
		return nil, entry{}, false
	}
	rest := k[zero+1:]
	e.due = int64(binary.BigEndian.Uint64(rest))
	e.id = engine.BlobID(binary.BigEndian.Uint64(rest[8:]))
	e.number = binary.BigEndian.Uint32(rest[16:])
	return k[1:zero], e, e.due >= 0
}
