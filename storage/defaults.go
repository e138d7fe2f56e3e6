package storage

import (
	"fmt"

	"github.com/emersion/go-imap/v2"
)

// Default is a mailbox that a store makes, and subscribes, with every new
// account.
type Default struct {
	Name  string
	Kind  Kind               // 0: mail, or the parent's
	Attrs []imap.MailboxAttr // special use (RFC 6154)
}

// Defaults returns the mailboxes that the stores of Posthouse make with every
// account when they are not told otherwise: INBOX is always made and is not
// among them.
func Defaults() []Default {
	return []Default{
		{Name: "Drafts", Attrs: []imap.MailboxAttr{imap.MailboxAttrDrafts}},
		{Name: "Junk", Attrs: []imap.MailboxAttr{imap.MailboxAttrJunk}},
		{Name: "Sent", Attrs: []imap.MailboxAttr{imap.MailboxAttrSent}},
		{Name: "Trash", Attrs: []imap.MailboxAttr{imap.MailboxAttrTrash}},
	}
}

// First returns what mailboxes a new account begins with: INBOX and the
// defaults, and none for the public folders of a domain.
func First(user string, defaults []Default) []Default {
	if IsPublic(user) {
		return nil
	}
	return append([]Default{{Name: Inbox}}, defaults...)
}

// CheckDefaults returns an error when the defaults can't all be made with one
// account: ErrBadName, or ErrBadKind for one whose kind does not exist, or is
// not that of the mailbox above it, of INBOX, or of the mailbox that one before
// it made under this name.
func CheckDefaults(defaults []Default) error {
	kinds := map[string]Kind{Inbox: Mail}
	for _, d := range defaults {
		name, err := CleanName(d.Name)
		if err != nil {
			return fmt.Errorf("default mailbox %q: %w", d.Name, err)
		}
		kind, err := d.Kind.Under(kinds[name])
		if kinds[name] == 0 {
			kind, err = d.Kind.At(name, func(above string) (Kind, error) { return kinds[above], nil })
		}
		if err != nil {
			return fmt.Errorf("default mailbox %q: %w", d.Name, err)
		}
		for level := range Levels(name) {
			kinds[level] = kind
		}
	}
	return nil
}
