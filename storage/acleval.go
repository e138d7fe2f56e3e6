package storage

import (
	"fmt"
	"strings"
)

// Subject is who asks for something that access control lists allow or deny.
// The zero Subject is somebody who is not logged in: he is Anyone and nobody
// else.
type Subject struct {
	User   string // his account's name
	Groups Groups // all that he is in, those above them too: see ExpandGroups

	// Always are rights that no list gives or takes away. It is for the caller
	// to say that they are AllRights: for the owner of the account (RFC 4314 §2
	// lets a server do so), and for who administers the public folders of a
	// domain, as its postmaster does.
	Always Rights
}

// is reports whether an identifier means the subject.
func (s *Subject) is(identifier string) bool {
	if identifier == Anyone {
		return true
	}
	if group, ok := strings.CutPrefix(identifier, GroupPrefix); ok {
		return s.Groups.Has(group)
	}
	return s.User != "" && identifier == s.User
}

// EffectiveRights returns what a subject may do in a mailbox, given the lists
// from the account down to it (see ACLs.ACLChain). Rights of all identifiers
// that mean the subject, he himself, his groups and Anyone, are united; what
// any of them is denied, he is denied. In the mode ACLInherit that is so over
// the whole chain, in ACLPlain for the last list alone. The order of entries,
// and of lists in ACLInherit, is of no matter. In a mode that is unknown, as
// with an empty chain, nobody has more than Subject.Always.
func EffectiveRights(mode ACLMode, chain []ACL, s Subject) Rights {
	switch {
	case mode == ACLPlain && len(chain) > 0:
		chain = chain[len(chain)-1:]
	case mode != ACLInherit:
		chain = nil
	}
	var allowed, denied Rights
	for _, list := range chain {
		for _, e := range list {
			if s.is(e.Identifier) {
				allowed |= e.Allow
				denied |= e.Deny
			}
		}
	}
	return s.Always | allowed&^denied
}

// Groups is a set of the names of groups, without GroupPrefix.
type Groups map[string]struct{}

// MaxGroups bounds the groups that a subject can be in.
const MaxGroups = 1000

// NewGroups returns the set of these names.
func NewGroups(names ...string) Groups {
	g := make(Groups, len(names))
	for _, name := range names {
		g[name] = struct{}{}
	}
	return g
}

// Has reports whether a group is in the set. It may be nil.
func (g Groups) Has(name string) bool {
	_, ok := g[name]
	return ok
}

// ExpandGroups returns all groups that somebody is in: direct, those that above
// returns for each of them, which are the groups that it is a member of itself,
// and so on. Each is asked for once, so that groups which are members of each
// other do no harm. An error of above is returned, and ErrLimit when there are
// more than MaxGroups: who is left out of a group may be allowed what the group
// is denied, so there is never a part of the answer.
func ExpandGroups(direct []string, above func(group string) ([]string, error)) (Groups, error) {
	all := make(Groups)
	var waiting []string
	add := func(names []string) error {
		for _, name := range names {
			if all.Has(name) {
				continue
			}
			if len(all) == MaxGroups {
				return fmt.Errorf("%w: a member of more than %d groups", ErrLimit, MaxGroups)
			}
			all[name] = struct{}{}
			waiting = append(waiting, name)
		}
		return nil
	}
	err := add(direct)
	for err == nil && len(waiting) > 0 {
		var more []string
		if more, err = above(waiting[0]); err == nil {
			err = add(more)
		}
		waiting = waiting[1:]
	}
	if err != nil {
		return nil, err
	}
	return all, nil
}
