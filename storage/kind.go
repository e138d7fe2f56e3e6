package storage

import (
	"fmt"
	"strings"

	"github.com/emersion/go-imap/v2"
)

// Kind says what a mailbox is for. It is set when the mailbox is made and
// never changes; children have the kind of their parent.
type Kind uint8

// The kinds of mailboxes. The zero Kind asks for the parent's kind, or Mail at
// the top, when a mailbox is made; no mailbox has it.
const (
	Mail Kind = iota + 1
	Calendar
	Contacts
	Tasks
	Notes
	Journal
)

var kindNames = [...]string{Mail: "mail", Calendar: "calendar", Contacts: "contacts", Tasks: "tasks", Notes: "notes", Journal: "journal"}

// Valid reports whether k is one of the kinds.
func (k Kind) Valid() bool { return Mail <= k && k <= Journal }

// String returns the kind's name in lower case.
func (k Kind) String() string {
	if !k.Valid() {
		return fmt.Sprintf("kind(%d)", uint8(k))
	}
	return kindNames[k]
}

// MarshalText returns the kind's name. ErrBadKind when it is none of the kinds.
func (k Kind) MarshalText() ([]byte, error) {
	if !k.Valid() {
		return nil, fmt.Errorf("%w: %v", ErrBadKind, k)
	}
	return []byte(k.String()), nil
}

// UnmarshalText reads a kind's name. ErrBadKind when there is none of that name.
func (k *Kind) UnmarshalText(text []byte) error {
	for i, name := range kindNames {
		if name != "" && name == string(text) {
			*k = Kind(i)
			return nil
		}
	}
	return fmt.Errorf("%w: %q", ErrBadKind, text)
}

// Under returns the kind of a mailbox that is made below a parent: the zero k
// becomes the parent's. A mailbox at the top has the zero parent. ErrBadKind
// when k is not the parent's, or none of the kinds.
func (k Kind) Under(parent Kind) (Kind, error) {
	switch {
	case k == 0 && parent == 0:
		return Mail, nil
	case k == 0:
		return parent, nil
	case !k.Valid():
		return 0, fmt.Errorf("%w: %v", ErrBadKind, k)
	case parent != 0 && k != parent:
		return 0, fmt.Errorf("%w: %v below %v", ErrBadKind, k, parent)
	}
	return k, nil
}

// At returns the kind of a mailbox that comes to a clean name: see Under, the
// parent being the nearest mailbox above the name. INBOX is for mail, whether
// it is there or is made as a parent. of returns the kind of the mailbox of a
// name, zero when there is none; its errors are returned.
func (k Kind) At(name string, of func(name string) (Kind, error)) (Kind, error) {
	first := name
	for i := strings.LastIndex(name, Separator); i > 0; i = strings.LastIndex(first, Separator) {
		first = name[:i]
		if parent, err := of(first); err != nil {
			return 0, err
		} else if parent != 0 {
			return k.Under(parent)
		}
	}
	if first == Inbox {
		return k.Under(Mail)
	}
	return k.Under(0)
}

// NewMailbox says what a mailbox to be made is like. The zero value is one
// like its parent, or for mail, without special use.
type NewMailbox struct {
	Kind  Kind               // 0: the parent's
	Attrs []imap.MailboxAttr // special use (RFC 6154)
}
