package local

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/storage"
)

// row is what listing a message needs, without its keywords.
type row struct {
	uid    uint32
	flags  storage.SystemFlags
	modSeq uint64
	date   stamp
	size   int64 // with the prefix
}

// listed is a row with its keywords.
type listed struct {
	row
	words []imap.Flag
}

func (l *listed) message() storage.Message {
	return storage.Message{
		UID: imap.UID(l.uid), ModSeq: l.modSeq, Flags: storage.Flags{System: l.flags, Keywords: l.words}, Date: l.date.time(), Size: l.size,
	}
}

// stamp is a date as storage.TrimDate makes it: seconds since 1970, times
// 4096, plus the zone in minutes, plus 2048.
type stamp int64

func newStamp(t time.Time) stamp {
	if t.IsZero() {
		t = time.Now()
	}
	t = storage.TrimDate(t)
	_, offset := t.Zone()
	return stamp(t.Unix()<<12 + int64(offset/60) + 2048)
}

func (s stamp) time() time.Time {
	t, minutes := time.Unix(int64(s>>12), 0), int(s&4095)-2048
	if minutes == 0 {
		return t.UTC()
	}
	return t.In(zoneOf(minutes))
}

// zones are those that clocks show: quarters of an hour from -12 to +14 hours.
var zones = func() (z [(firstZone + lastZone) / 15]*time.Location) {
	for i := range z {
		z[i] = time.FixedZone("", (15*i-firstZone)*60)
	}
	return z
}()

const firstZone, lastZone = 12 * 60, 14*60 + 15

// zoneOf returns the zone so many minutes east of Greenwich.
func zoneOf(minutes int) *time.Location {
	if at := minutes + firstZone; at >= 0 && at%15 == 0 && at/15 < len(zones) {
		return zones[at/15]
	}
	return time.FixedZone("", minutes*60)
}

// record is a message as it came: where its content is, and the row that it
// began with. It is never changed; later flags are in the page.
type record struct {
	listed
	place
	saved  int64  // when it came into this mailbox, in seconds since 1970; 0: not known
	named  string // how another store named the content, see email; empty: this one names it
	prefix []byte
}

func (m *record) append(b []byte) []byte {
	v := byte(version)
	if m.named != "" {
		v = namedVersion
	}
	b = append(b, v, byte(m.flags))
	b = binary.AppendUvarint(b, uint64(m.blob))
	b = binary.AppendUvarint(b, uint64(m.offset))
	b = binary.AppendUvarint(b, m.modSeq)
	b = binary.AppendVarint(b, int64(m.date))
	b = binary.AppendUvarint(b, uint64(m.size))
	b = appendWords(b, m.words)
	b = binary.AppendVarint(b, m.saved)
	if m.named != "" {
		b = appendBytes(b, m.named)
	}
	return append(b, m.prefix...)
}

// parseRecord reads a record. Its prefix is a piece of b.
func parseRecord(uid uint32, b []byte) (m record, err error) {
	r := newReaderUpTo(namedVersion, b)
	m.uid = uid
	m.flags = storage.SystemFlags(r.octet())
	m.blob = engine.BlobID(r.number())
	m.offset = int64(r.upTo(math.MaxInt64))
	m.modSeq = r.number()
	m.date = stamp(r.signed())
	m.size = int64(r.upTo(math.MaxInt64))
	m.words = words[imap.Flag](r)
	if r.version > 1 {
		m.saved = r.signed()
	}
	if r.version > version {
		m.named = string(r.bytes())
	}
	if r.bad || int64(len(r.rest)) > m.size {
		return record{}, ErrDamaged
	}
	m.prefix = r.rest
	return m, nil
}

// bodySize is how many octets of the blob are the message's.
func (m *record) bodySize() int64 { return m.size - int64(len(m.prefix)) }
