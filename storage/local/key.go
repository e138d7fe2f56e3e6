package local

import (
	"encoding/binary"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/storage"
)

// Keys of the store in the index. Numbers are big endian, so that the index is
// in the order of the numbers. A mailbox is named by its ID, an account by a
// number of its own.
//
//	a user           the account
//	n account name   a mailbox's ID, kind, attributes, bounds and access list
//	u account name   a subscription
//	v account name   the highest UIDVALIDITY that a name had which nobody has now
//	s mailbox        its state: counters, UIDNEXT, ModSeq
//	m mailbox uid    a message: where its content is, and its flags when it came
//	p mailbox page   flags, dates and sizes of the messages of a page of UIDs
//	x mailbox modseq the UIDs that a change expunged
//	z mailbox        a deleted mailbox of which messages are left, and whether they are to be retained
//	y account number an expunged message that can be restored
//	o time number    whose account it is, by when its time is over
//	l account        a removed account of which retained messages are left
//	b mailbox whom name  an annotation of a mailbox
//	k account whom name  an annotation of an account itself
//	w identifier account mailbox  whose list allows the identifier something; w alone: all are listed
//	f user           since when the account is frozen
//	i user           an account that is arriving from another store
//	j arrival body   a body that has arrived, by its name there
//	g                what was given out last: accounts, mailboxes, UIDVALIDITY, numbers of retained messages
//
// Two are hints, in the index only and not in the log:
//
//	c blob offset    the part index of a body
//	r mailbox        the first UID that no session was told of
//
// The queue has d and e, the engine everything that begins with '!'.
const (
	keyAccount      = 'a'
	keyName         = 'n'
	keySubscription = 'u'
	keyValidity     = 'v'
	keyState        = 's'
	keyMessage      = 'm'
	keyPage         = 'p'
	keyExpunged     = 'x'
	keyDoomed       = 'z'
	keyKept         = 'y'
	keyDue          = 'o'
	keyLeft         = 'l'
	keyBoxNote      = 'b'
	keyAccountNote  = 'k'
	keyShare        = 'w'
	keyCounters     = 'g'
	keyIndex        = 'c'
	keyRecent       = 'r'
	keyFrozen       = 'f'
	keyArrival      = 'i'
	keyArrived      = 'j'
)

// accountID names an account for ever.
type accountID uint64

func accountKey(user string) []byte { return append([]byte{keyAccount}, user...) }

func frozenKey(user string) []byte { return append([]byte{keyFrozen}, user...) }

func arrivalKey(user string) []byte { return append([]byte{keyArrival}, user...) }

func arrivedKey(a accountID, there engine.BlobID) []byte {
	return binary.BigEndian.AppendUint64(numberKey(keyArrived, uint64(a)), uint64(there))
}

// nameKey is a key of one of the kinds that go by account and name.
func nameKey(kind byte, a accountID, name string) []byte {
	return append(numberKey(kind, uint64(a)), name...)
}

// numberKey is a key of one of the kinds that go by one number.
func numberKey(kind byte, n uint64) []byte {
	return appendNumberKey(make([]byte, 0, 24), kind, n)
}

func appendNumberKey(b []byte, kind byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64(append(b, kind), n)
}

func stateKey(id storage.MailboxID) []byte  { return numberKey(keyState, uint64(id)) }
func doomedKey(id storage.MailboxID) []byte { return numberKey(keyDoomed, uint64(id)) }
func recentKey(id storage.MailboxID) []byte { return numberKey(keyRecent, uint64(id)) }

func messageKey(id storage.MailboxID, uid uint32) []byte {
	return binary.BigEndian.AppendUint32(numberKey(keyMessage, uint64(id)), uid)
}

func pageKey(id storage.MailboxID, page uint32) []byte {
	return binary.BigEndian.AppendUint32(numberKey(keyPage, uint64(id)), page)
}

func expungedKey(id storage.MailboxID, modSeq uint64) []byte {
	return binary.BigEndian.AppendUint64(numberKey(keyExpunged, uint64(id)), modSeq)
}

func keptKey(a accountID, id storage.RetainedID) []byte {
	return binary.BigEndian.AppendUint64(numberKey(keyKept, uint64(a)), uint64(id))
}

// dueKey is ordered by a time in seconds since 1970, which is not before.
func dueKey(until int64, id storage.RetainedID) []byte {
	return binary.BigEndian.AppendUint64(numberKey(keyDue, uint64(until)), uint64(id))
}

func leftKey(a accountID) []byte { return numberKey(keyLeft, uint64(a)) }

func indexKey(at place) []byte {
	k := numberKey(keyIndex, uint64(at.blob))
	if at.offset > 0 {
		k = binary.BigEndian.AppendUint64(k, uint64(at.offset))
	}
	return k
}

// behind is the end of all keys of one kind that begin with a number.
func behind(kind byte, n uint64) []byte {
	if n == 1<<64-1 {
		return []byte{kind + 1}
	}
	return numberKey(kind, n+1)
}

// number reads the number that stands n octets after the kind.
func number(key []byte, n int) (v uint64, ok bool) {
	if len(key) < 1+n+8 {
		return 0, false
	}
	return binary.BigEndian.Uint64(key[1+n:]), true
}

// tail32 reads the last number of a message's or a page's key.
func tail32(key []byte) (v uint32, ok bool) {
	if len(key) != 13 {
		return 0, false
	}
	return binary.BigEndian.Uint32(key[9:]), true
}

// place is where a message's octets stand: a body of its own, or a piece of
// one that was written with others.
type place struct {
	blob   engine.BlobID // 0: no octets
	offset int64
}
