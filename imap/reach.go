package imap

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

// maxOwners bounds the users whose mailboxes one LIST shows.
const maxOwners = 1000

// reachable lists the session's user's own mailboxes and subscriptions, and of
// others' what he may look up and a pattern can match, with the levels above.
func (s *session) reachable(ctx context.Context, patterns []*listPattern) ([]storage.MailboxInfo, error) {
	infos, err := s.account.Mailboxes(ctx)
	n := s.namespaces()
	if err != nil || n == (Namespaces{}) {
		return infos, err
	}
	infos = slices.DeleteFunc(infos, func(i storage.MailboxInfo) bool { return i.ID != 0 && s.locate(i.Name).owner != s.user })
	var more []storage.MailboxInfo
	if n.Public != "" && wanted(patterns, n.Public) {
		if more, err = s.visible(ctx, s.publicAccount(), n.Public); err != nil {
			return nil, err
		}
	}
	if n.Other != "" && wanted(patterns, n.Other) {
		others, err := s.visibleOfOthers(ctx, n.Other, patterns)
		if err != nil {
			return nil, err
		}
		more = append(more, others...)
	}
	return merged(infos, withLevels(more)), nil
}

// wanted reports whether a pattern can match a name or one below it.
func wanted(patterns []*listPattern, name string) bool {
	return slices.ContainsFunc(patterns, func(p *listPattern) bool { return p.match(name) || p.reaches(name+storage.Separator) })
}

// visibleOfOthers lists other users' mailboxes. When no pattern goes below
// the first level, one mailbox shows that it is there.
func (s *session) visibleOfOthers(ctx context.Context, first string, patterns []*listPattern) (all []storage.MailboxInfo, err error) {
	owners, err := s.owners(ctx)
	if err != nil {
		return nil, err
	}
	below := slices.ContainsFunc(patterns, func(p *listPattern) bool { return p.reaches(first + storage.Separator) })
	for _, owner := range owners {
		name := first + storage.Separator + owner
		if below && !wanted(patterns, name) {
			continue
		}
		infos, err := s.visible(ctx, owner, name)
		if err != nil {
			return nil, err
		}
		if all = append(all, infos...); !below && len(all) > 0 {
			break
		}
	}
	return all, nil
}

// owners returns the users who share something with the session's user, but
// for those whose name is no level.
func (s *session) owners(ctx context.Context) ([]string, error) {
	sharer, ok := storage.As[storage.Sharer](s.server.Store)
	if !ok {
		return nil, nil
	}
	who, err := s.server.Access.Subject(ctx, s.user, s.user)
	if err != nil {
		return nil, err
	}
	identifiers := []string{storage.Anyone, s.user}
	for group := range who.Groups {
		identifiers = append(identifiers, storage.GroupPrefix+group)
	}
	users, err := sharer.SharedWith(ctx, identifiers...)
	users = slices.DeleteFunc(users, func(user string) bool { return user == s.user || !isLevel(user) })
	return users[:min(len(users), maxOwners)], err
}

// visible lists the mailboxes of an account that the session's user may look
// up, by the names that he has for them. Special uses are the owner's alone.
func (s *session) visible(ctx context.Context, owner, name string) ([]storage.MailboxInfo, error) {
	f, err := s.foreign(ctx, owner)
	if err != nil || f.missing {
		return nil, err
	}
	infos, err := s.server.shown(f.account).Mailboxes(ctx)
	if err != nil {
		return nil, ifThere(err)
	}
	chainOf, err := f.chains(ctx)
	if err != nil {
		return nil, ifThere(err)
	}
	var seen []storage.MailboxInfo
	for _, info := range infos {
		if info.ID == 0 {
			continue
		}
		chain, err := chainOf(info.Name)
		if ifThere(err) != nil {
			return nil, err
		}
		if err == nil && s.rightsIn(owner, chain, f.who)&storage.RightLookup != 0 {
			seen = append(seen, storage.MailboxInfo{Name: name + storage.Separator + info.Name, ID: info.ID, Kind: info.Kind})
		}
	}
	return seen, nil
}

// chains returns what returns the lists down to a mailbox, for those who ask
// for many.
func (f *foreign) chains(ctx context.Context) (func(name string) ([]storage.ACL, error), error) {
	lister, ok := storage.As[storage.ACLLister](f.account)
	if !ok {
		return func(name string) ([]storage.ACL, error) { return f.chain(ctx, name) }, nil
	}
	all, err := lister.AllACLs(ctx)
	return func(name string) ([]storage.ACL, error) {
		chain := []storage.ACL{all[""]}
		for level := range storage.Levels(name) {
			chain = append(chain, all[level])
		}
		return chain, nil
	}, err
}

// ifThere drops the error about what was removed meanwhile.
func ifThere(err error) error {
	if errors.Is(err, storage.ErrNoMailbox) {
		return nil
	}
	return err
}

// noSelect are the attributes of a level that is no mailbox, or none that its
// reader may know of.
var noSelect = []imap.MailboxAttr{imap.MailboxAttrNoSelect}

// isLevelOnly reports whether a name is there for what is below it only.
func isLevelOnly(info *storage.MailboxInfo) bool { return info.ID == 0 && len(info.Attrs) > 0 }

// withLevels adds the levels above names that are not among them.
func withLevels(infos []storage.MailboxInfo) []storage.MailboxInfo {
	have := make(map[string]bool, len(infos))
	for _, info := range infos {
		have[info.Name] = true
	}
	out := slices.Clone(infos)
	for _, info := range infos {
		for parent := range parents(info.Name) {
			if !have[parent] {
				have[parent] = true
				out = append(out, storage.MailboxInfo{Name: parent, Attrs: noSelect})
			}
		}
	}
	return out
}

// merged joins a user's own list with what he sees of others, of which he may
// have subscribed names.
func merged(own, others []storage.MailboxInfo) []storage.MailboxInfo {
	index := make(map[string]int, len(others))
	for i, info := range others {
		index[info.Name] = i
	}
	own = slices.DeleteFunc(own, func(info storage.MailboxInfo) bool {
		i, ok := index[info.Name]
		if ok {
			others[i].Subscribed = info.Subscribed
		}
		return ok
	})
	return inListOrder(append(own, others...))
}

// inListOrder sorts a list as accounts sort theirs.
func inListOrder(infos []storage.MailboxInfo) []storage.MailboxInfo {
	slices.SortFunc(infos, func(a, b storage.MailboxInfo) int {
		return cmp.Or(cmp.Compare(rank(a.Name), rank(b.Name)), cmp.Compare(a.Name, b.Name))
	})
	return infos
}
