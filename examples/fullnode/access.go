package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/imap"
	"github.com/posthouse-mail/posthouse/storage"
)

// namespaces are those of every node.
var namespaces = imap.Namespaces{Other: "Other Users", Public: "Public Folders"}

// access says who users are to access control lists: themselves, and the
// groups that they are in. The public folders of a domain are administered by
// the account that is its postmaster, or has that address as an alias.
type access struct{ *opened }

var _ imap.Access = access{}

// Subject returns who a user is in an owner's account.
func (a access) Subject(ctx context.Context, user, owner string) (storage.Subject, error) {
	who, err := a.subject(ctx, user)
	if err != nil {
		return who, err
	}
	domain := strings.TrimPrefix(owner, "@")
	if !storage.IsPublic(owner) || storage.Domain(user) != domain {
		return who, nil
	}
	accounts, _ := directory.As[directory.Accounts](a.resolver)
	account, err := accounts.Account(ctx, user)
	if errors.Is(err, directory.ErrUnknown) {
		return who, nil
	}
	if postmaster := "postmaster@" + domain; err == nil && (account.Name == postmaster || slices.Contains(account.Aliases, postmaster)) {
		who.Always = storage.AllRights
	}
	return who, err
}

// subject is a user with his groups. Who is unknown is in none.
func (a access) subject(ctx context.Context, user string) (storage.Subject, error) {
	members, _ := directory.As[directory.Memberships](a.resolver)
	groups, err := members.GroupsOf(ctx, user)
	if errors.Is(err, directory.ErrUnknown) {
		err = nil
	}
	return storage.Subject{User: user, Groups: storage.NewGroups(groups...)}, err
}

// Mode says how the lists of a domain's accounts are read.
func (a access) Mode(domain string) storage.ACLMode { return a.settings(domain).ACL }

// Identifier returns the name of the account, or behind GroupPrefix of the
// group, that this one would be if it is there: one without a domain is of the
// primary domain.
func (a access) Identifier(text string) string {
	name, group := strings.CutPrefix(text, storage.GroupPrefix)
	if name == storage.Anyone || name == "" {
		return text
	}
	if domains, err := a.directory.Domains(context.Background()); err == nil && len(domains) > 0 && !strings.Contains(name, "@") {
		name += "@" + domains[0]
	}
	if name = auth.NormalName(name); group {
		return storage.GroupPrefix + name
	}
	return name
}
