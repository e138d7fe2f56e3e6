package local

import (
	"strings"

	"github.com/posthouse-mail/posthouse/storage"
)

// line checks what the tree says of a mailbox: that it has a parent, of the
// same kind, and a list that SetACL could have left.
func (c *checker) line(where string, a accountID, name string, b box) error {
	c.list(where, b.acl)
	if name == storage.Inbox && b.kind != storage.Mail {
		c.found(where, "is for %v", b.kind)
	}
	i := strings.LastIndex(name, storage.Separator)
	if i < 0 {
		return nil
	}
	parent, ok, err := getBox(c.snap, a, name[:i])
	switch {
	case err != nil:
		return c.broken(where, err)
	case !ok:
		c.found(where, "has no mailbox above it")
	case parent.kind != b.kind:
		c.found(where, "is for %v below one for %v", b.kind, parent.kind)
	}
	return nil
}

// list checks an access control list.
func (c *checker) list(where string, list storage.ACL) {
	clean, err := list.Clean()
	switch {
	case err != nil:
		c.found(where, "access control list: %v", err)
	case !clean.Equal(list):
		c.found(where, "access control list is not sorted, or has an entry twice or an empty one")
	}
}
