package storage

import (
	"fmt"
	"strings"
)

// Rights are a set of the rights of RFC 4314 §2.1.
type Rights uint16

// The rights, each with its letter.
const (
	RightLookup         Rights = 1 << iota // l: the mailbox is visible
	RightRead                              // r
	RightSeen                              // s: keep \Seen
	RightWrite                             // w: keep other flags
	RightInsert                            // i
	RightPost                              // p: send mail to the mailbox's address
	RightCreate                            // k: make mailboxes below
	RightDeleteMailbox                     // x
	RightDeleteMessages                    // t: keep \Deleted
	RightExpunge                           // e
	RightAdmin                             // a: change the access control list

	AllRights Rights = 1<<iota - 1
)

// rightLetters has the letter of each right, in the order of their bits, which
// is that of the RFC.
const rightLetters = "lrswipkxtea"

// What the letters of RFC 2086 stand for (RFC 4314 §2.1.1): of the two readings
// of the RFC, the one in which "c" goes with DELETE.
const (
	obsoleteCreate = RightCreate | RightDeleteMailbox   // c
	obsoleteDelete = RightDeleteMessages | RightExpunge // d
)

// String returns the letters of the rights in the RFC's order.
func (r Rights) String() string {
	letters := make([]byte, 0, len(rightLetters))
	for i := range len(rightLetters) {
		if r&(1<<i) != 0 {
			letters = append(letters, rightLetters[i])
		}
	}
	return string(letters)
}

// WithObsolete is String and behind it the letters "c" and "d" that the
// responses ACL and MYRIGHTS must have for clients of RFC 2086, as soon as one
// right that they stand for is there (RFC 4314 §2.1.1).
func (r Rights) WithObsolete() string {
	letters := r.String()
	if r&obsoleteCreate != 0 {
		letters += "c"
	}
	if r&obsoleteDelete != 0 {
		letters += "d"
	}
	return letters
}

// ParseRights reads letters in any order, repeated or not. The obsolete "c" is
// "kx" and "d" is "te" (RFC 4314 §2.1.1). ErrBadACL when there is one that
// stands for no right, capitals and digits among them.
func ParseRights(letters string) (Rights, error) {
	var r Rights
	for _, c := range letters {
		i := strings.IndexRune(rightLetters, c)
		switch {
		case c == 'c':
			r |= obsoleteCreate
		case c == 'd':
			r |= obsoleteDelete
		case i < 0:
			return 0, fmt.Errorf("%w: there is no right %q", ErrBadACL, c)
		default:
			r |= 1 << i
		}
	}
	return r, nil
}

// RightsOp says what a RightsChange does.
type RightsOp uint8

// The three ways to change rights.
const (
	SetRights    RightsOp = iota // in place of those that are there
	AddRights                    // "+"
	RemoveRights                 // "-"
)

// RightsChange is what SETACL does to the rights of an identifier (RFC 4314
// §3.1). The zero value takes all away, as DELETEACL does.
type RightsChange struct {
	Op     RightsOp
	Rights Rights
}

// ParseRightsChange reads letters as ParseRights does, with "+" or "-" before
// them or neither. ErrBadACL.
func ParseRightsChange(text string) (c RightsChange, err error) {
	if text != "" && text[0] == '+' {
		c.Op, text = AddRights, text[1:]
	} else if text != "" && text[0] == '-' {
		c.Op, text = RemoveRights, text[1:]
	}
	c.Rights, err = ParseRights(text)
	return c, err
}

// Apply returns r after the change.
func (c RightsChange) Apply(r Rights) Rights {
	switch c.Op {
	case AddRights:
		return r | c.Rights
	case RemoveRights:
		return r &^ c.Rights
	}
	return c.Rights
}
