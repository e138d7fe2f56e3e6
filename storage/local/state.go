package local

import (
	"encoding/binary"
	"math"
	"math/rand/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

// state is what every change of a mailbox changes.
type state struct {
	account  accountID
	validity uint32
	next     uint32 // UIDNEXT
	modSeq   uint64 // of the last change; 1 before the first

	expunged uint64 // ModSeq of the last change that expunged something
	floor    uint64 // tombstones up to this ModSeq are gone
	tombs    uint32 // how many there are

	messages, unseen, deleted uint32
	size                      int64

	quota *storage.Quota // nil: that of the domain
}

func (s *state) append(b []byte) []byte {
	b = append(b, version)
	for _, v := range [...]uint64{
		uint64(s.account), uint64(s.validity), uint64(s.next), s.modSeq, s.expunged, s.floor, uint64(s.tombs),
		uint64(s.messages), uint64(s.unseen), uint64(s.deleted), uint64(s.size),
	} {
		b = binary.AppendUvarint(b, v)
	}
	return appendQuota(b, s.quota)
}

func parseState(b []byte) (s state, err error) {
	r := newReader(b)
	s.account = accountID(r.number())
	s.validity = uint32(r.upTo(math.MaxUint32))
	s.next = uint32(r.upTo(math.MaxUint32))
	s.modSeq = r.number()
	s.expunged = r.number()
	s.floor = r.number()
	s.tombs = uint32(r.upTo(math.MaxUint32))
	s.messages = uint32(r.upTo(math.MaxUint32))
	s.unseen = uint32(r.upTo(math.MaxUint32))
	s.deleted = uint32(r.upTo(math.MaxUint32))
	s.size = int64(r.upTo(math.MaxInt64))
	if r.version > 1 {
		s.quota = r.quota()
	}
	return s, r.end()
}

// count adds a message to the counters, or with n -1 takes it out.
func (s *state) count(f storage.SystemFlags, size int64, n int) {
	s.messages += uint32(n)
	s.size += int64(n) * size
	if f&storage.Seen == 0 {
		s.unseen += uint32(n)
	}
	if f&storage.Deleted != 0 {
		s.deleted += uint32(n)
	}
}

// counters are the numbers that were given out last in the whole store.
type counters struct {
	account  accountID
	mailbox  storage.MailboxID
	validity uint32
	retained storage.RetainedID
}

// originBits is where the part of a mailbox's number begins that says which
// store gave it out.
const originBits = 32

// originOf returns what the numbers of all mailboxes of one store have in
// common: it was drawn when the store was made. It is 0 for stores of earlier
// versions.
func originOf(id storage.MailboxID) uint64 { return uint64(id) >> originBits }

// newOrigin is the number before the first that a new store gives to a mailbox.
func newOrigin() storage.MailboxID {
	return storage.MailboxID(1+rand.Uint32N(1<<31-1)) << originBits
}

func (c *counters) append(b []byte) []byte {
	b = append(b, version)
	b = binary.AppendUvarint(b, uint64(c.account))
	b = binary.AppendUvarint(b, uint64(c.mailbox))
	b = binary.AppendUvarint(b, uint64(c.validity))
	return binary.AppendUvarint(b, uint64(c.retained))
}

func parseCounters(b []byte) (c counters, err error) {
	r := newReader(b)
	c.account = accountID(r.number())
	c.mailbox = storage.MailboxID(r.number())
	c.validity = uint32(r.upTo(math.MaxUint32))
	if len(r.rest) > 0 { // what was written before messages were retained ends here
		c.retained = storage.RetainedID(r.number())
	}
	return c, r.end()
}

// accountRecord is what is kept of an account itself.
type accountRecord struct {
	id        accountID
	mailboxes uint32 // how many
	subs      uint32 // how many subscriptions
	freed     uint32 // how many names nobody has now
	validity  uint32 // what all names had at most that are not kept singly any more

	quota     *storage.Quota // nil: that of the domain
	acl       storage.ACL    // above all of its mailboxes
	noticed   int64          // when the last notice of a threshold was given, in seconds since 1970
	threshold uint32         // which one, in percent
	silent    uint32         // up to which threshold no notice is given; it falls with what the account holds
}

func (a *accountRecord) append(b []byte) []byte {
	b = append(b, version)
	for _, v := range [...]uint64{uint64(a.id), uint64(a.mailboxes), uint64(a.subs), uint64(a.freed), uint64(a.validity)} {
		b = binary.AppendUvarint(b, v)
	}
	b = appendACL(appendQuota(b, a.quota), a.acl)
	b = binary.AppendVarint(b, a.noticed)
	return binary.AppendUvarint(binary.AppendUvarint(b, uint64(a.threshold)), uint64(a.silent))
}

func parseAccount(b []byte) (a accountRecord, err error) {
	r := newReader(b)
	a.id = accountID(r.number())
	a.mailboxes = uint32(r.upTo(math.MaxUint32))
	a.subs = uint32(r.upTo(math.MaxUint32))
	a.freed = uint32(r.upTo(math.MaxUint32))
	a.validity = uint32(r.upTo(math.MaxUint32))
	if r.version > 1 {
		a.quota, a.acl = r.quota(), r.acl()
		a.noticed = r.signed()
		a.threshold = uint32(r.upTo(math.MaxUint32))
		a.silent = uint32(r.upTo(math.MaxUint32))
	}
	return a, r.end()
}
