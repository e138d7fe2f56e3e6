package local

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

// ErrDamaged is the kind of errors about records of the store that can't be
// read. Damaged bodies are engine.ErrDamaged.
var ErrDamaged = errors.New("damaged record of the mail store")

// version begins every record. Records of earlier versions are read as well.
//
//	2 mailboxes have a kind, mailboxes and accounts bounds and access lists of
//	  their own, and messages the time when they were saved
//
// A message that has a name from another store begins with namedVersion.
const (
	version      = 2
	namedVersion = 3
)

// reader reads the fields of a record one after the other. After something
// that it can't read all of its methods return zero values, and end returns
// the error.
type reader struct {
	version byte
	rest    []byte
	bad     bool
}

func newReader(record []byte) *reader { return newReaderUpTo(version, record) }

// newReaderUpTo is newReader for records of which there are later versions.
func newReaderUpTo(latest byte, record []byte) *reader {
	r := &reader{rest: record}
	if r.version = r.octet(); r.version < 1 || r.version > latest {
		r.fail()
	}
	return r
}

func (r *reader) fail() { r.bad, r.rest = true, nil }

func (r *reader) end() error {
	if r.bad || len(r.rest) > 0 {
		return ErrDamaged
	}
	return nil
}

func (r *reader) octet() byte {
	if len(r.rest) == 0 {
		r.fail()
		return 0
	}
	c := r.rest[0]
	r.rest = r.rest[1:]
	return c
}

func (r *reader) number() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// upTo is number with a bound.
func (r *reader) upTo(most uint64) uint64 {
	v := r.number()
	if v > most {
		r.fail()
		return 0
	}
	return v
}

func (r *reader) signed() int64 {
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// bytes returns a piece of the record itself.
func (r *reader) bytes() []byte {
	n := r.upTo(uint64(len(r.rest)))
	if r.bad || n > uint64(len(r.rest)) {
		r.fail()
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

// words reads keywords or attributes; nil when there are none.
func words[T imap.Flag | imap.MailboxAttr](r *reader) []T {
	n := r.upTo(uint64(len(r.rest)))
	if n == 0 {
		return nil
	}
	list := make([]T, 0, min(n, 8))
	for range n {
		list = append(list, T(r.bytes()))
		if r.bad {
			return nil
		}
	}
	return list
}

func appendBytes[T string | []byte | imap.Flag | imap.MailboxAttr](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendWords[T imap.Flag | imap.MailboxAttr](b []byte, list []T) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, w := range list {
		b = appendBytes(b, w)
	}
	return b
}

// quota reads bounds, nil when there are none.
func (r *reader) quota() *storage.Quota {
	if r.upTo(1) == 0 {
		return nil
	}
	return &storage.Quota{
		Bytes: int64(r.upTo(math.MaxInt64)), Messages: int64(r.upTo(math.MaxInt64)), Mailboxes: int64(r.upTo(math.MaxInt64)),
	}
}

func appendQuota(b []byte, q *storage.Quota) []byte {
	if q == nil {
		return append(b, 0)
	}
	b = append(b, 1)
	for _, n := range [...]int64{q.Bytes, q.Messages, q.Mailboxes} {
		b = binary.AppendUvarint(b, uint64(max(n, 0)))
	}
	return b
}

// acl reads an access control list, nil when it is empty.
func (r *reader) acl() (list storage.ACL) {
	for range r.upTo(uint64(len(r.rest))) {
		e := storage.ACE{Identifier: string(r.bytes())}
		e.Allow = storage.Rights(r.upTo(uint64(storage.AllRights)))
		e.Deny = storage.Rights(r.upTo(uint64(storage.AllRights)))
		list = append(list, e)
	}
	return list
}

func appendACL(b []byte, list storage.ACL) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, e := range list {
		b = appendBytes(b, e.Identifier)
		b = binary.AppendUvarint(b, uint64(e.Allow))
		b = binary.AppendUvarint(b, uint64(e.Deny))
	}
	return b
}
