package imap

import (
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

// entry is what a view knows of a message, in 32 octets.
type entry struct {
	modseq   uint64
	sent     int64 // INTERNALDATE, seconds since 1970
	uid      imap.UID
	flags    uint32 // low octet: system flags; the rest: a number in the keyword table
	sizeLow  uint32 // of RFC822.SIZE, which has 48 bits here
	sizeHigh uint16
	zone     int16 // of INTERNALDATE, minutes east
}

func newEntry(m storage.Message, flags uint32) entry {
	_, zone := m.Date.Zone()
	return entry{
		modseq: m.ModSeq, uid: m.UID, flags: flags,
		sent: m.Date.Unix(), zone: int16(zone / 60),
		sizeLow: uint32(m.Size), sizeHigh: uint16(m.Size >> 32),
	}
}

func (e *entry) system() storage.SystemFlags { return storage.SystemFlags(e.flags & 0x1f) }
func (e *entry) keywordSet() uint32          { return e.flags >> 8 }
func (e *entry) size() int64                 { return int64(e.sizeHigh)<<32 | int64(e.sizeLow) }

// received is INTERNALDATE with its zone.
func (e *entry) received() time.Time {
	return time.Unix(e.sent, 0).In(time.FixedZone("", 60*int(e.zone)))
}

// date is INTERNALDATE as the clock showed it in its zone; the Time says UTC.
func (e *entry) date() time.Time { return time.Unix(e.sent+60*int64(e.zone), 0).UTC() }
