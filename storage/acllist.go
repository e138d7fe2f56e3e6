package storage

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Identifiers that are no user's name. A user who has such a name can't be
// named in a list.
const (
	Anyone      = "anyone" // everybody, logged in or not
	GroupPrefix = "group:" // before the name of a group
)

// negative stands before an identifier whose negative rights are meant
// (RFC 4314 §2).
const negative = "-"

// Bounds of access control lists.
const (
	MaxACEs       = 500      // entries of a list
	MaxIdentifier = MaxName  // octets of one identifier
	MaxACL        = 16 << 10 // octets of all identifiers of a list
)

// CheckIdentifier returns ErrBadACL when an entry can't be for an identifier:
// it is empty or a group without a name, is not UTF-8, holds a control
// character, begins with "-", which says that negative rights are meant, or is
// what PublicAccount names, whom nobody can be. ErrLimit when it is longer
// than MaxIdentifier.
func CheckIdentifier(id string) error {
	switch {
	case len(id) > MaxIdentifier:
		return fmt.Errorf("%w: an identifier of %d octets", ErrLimit, len(id))
	case id == "" || id == GroupPrefix:
		return fmt.Errorf("%w: an identifier without a name", ErrBadACL)
	case !utf8.ValidString(id) || strings.ContainsFunc(id, unicode.IsControl):
		return fmt.Errorf("%w: identifier %q is not text", ErrBadACL, id)
	case strings.HasPrefix(id, negative) || IsPublic(id):
		return fmt.Errorf("%w: identifier %q is nobody's", ErrBadACL, id)
	}
	return nil
}

// Clean returns the one form of a list that stores keep: sorted, entries of
// one identifier united, empty ones left out, nil when none is left. ErrBadACL
// for what CheckIdentifier refuses and for rights that do not exist, ErrLimit
// when the clean list is beyond the bounds above.
func (l ACL) Clean() (ACL, error) {
	var clean ACL
	octets := 0
	for _, e := range slices.SortedStableFunc(slices.Values(l), compareACEs) {
		if (e.Allow|e.Deny)&^AllRights != 0 {
			return nil, fmt.Errorf("%w: rights that do not exist", ErrBadACL)
		}
		if e.Allow|e.Deny == 0 {
			continue
		}
		if last := len(clean) - 1; last >= 0 && clean[last].Identifier == e.Identifier {
			clean[last].Allow |= e.Allow
			clean[last].Deny |= e.Deny
			continue
		}
		if err := CheckIdentifier(e.Identifier); err != nil {
			return nil, err
		}
		octets += len(e.Identifier)
		if len(clean) == MaxACEs || octets > MaxACL {
			return nil, fmt.Errorf("%w: too many entries in an access control list", ErrLimit)
		}
		clean = append(clean, e)
	}
	return clean, nil
}

func compareACEs(a, b ACE) int { return strings.Compare(a.Identifier, b.Identifier) }

// Equal reports whether two lists are the same, entry for entry.
func (l ACL) Equal(other ACL) bool { return slices.Equal(l, other) }

// Entry returns the entry of an identifier, one without rights when the list
// has none.
func (l ACL) Entry(identifier string) ACE {
	for _, e := range l {
		if e.Identifier == identifier {
			return e
		}
	}
	return ACE{Identifier: identifier}
}

// With returns a clean list with an entry in place of the one that the
// identifier had; one without rights takes it away. The errors of Clean.
func (l ACL) With(e ACE) (ACL, error) {
	if err := CheckIdentifier(e.Identifier); err != nil {
		return nil, err
	}
	others := slices.DeleteFunc(slices.Clone(l), func(o ACE) bool { return o.Identifier == e.Identifier })
	return append(others, e).Clean()
}

// Change returns a clean list after SETACL with an identifier as the client
// writes it: with "-" before it the negative rights are changed and the others
// stay, without it the other way round (RFC 4314 §3.1, §3.2). The errors of
// Clean.
func (l ACL) Change(identifier string, c RightsChange) (ACL, error) {
	name, denies := strings.CutPrefix(identifier, negative)
	e := l.Entry(name)
	if denies {
		e.Deny = c.Apply(e.Deny)
	} else {
		e.Allow = c.Apply(e.Allow)
	}
	return l.With(e)
}
