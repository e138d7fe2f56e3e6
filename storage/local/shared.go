package local

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/posthouse-mail/posthouse/storage"
)

var (
	_ storage.Sharer = (*Store)(nil)
	_ storage.Finder = (*Store)(nil)
)

// Find returns an account that is there.
func (s *Store) Find(ctx context.Context, user string) (storage.Account, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	rec, ok, err := getAccount(s.e, user)
	if err != nil {
		return nil, err
	}
	if !ok || checkUser(user) != nil {
		return nil, storage.ErrNoMailbox
	}
	return &account{s, tree{user, rec.id}}, nil
}

// SharedWith returns the accounts that share something with identifiers. Of an
// account that shares many mailboxes with one it reads one key.
func (s *Store) SharedWith(ctx context.Context, identifiers ...string) (users []string, err error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	snap := s.e.Snapshot()
	defer snap.Close()
	for _, id := range identifiers {
		if storage.CheckIdentifier(id) != nil {
			continue
		}
		from, to := shareKey(id, 0, 0), append(append([]byte{keyShare}, id...), 1)
		for from != nil {
			next := []byte(nil)
			err := snap.Scan(ctx, from, to, func(k, v []byte) error {
				a, _, ok := parseShareKey(k)
				if !ok {
					return nil // a check tells of it
				}
				users = append(users, string(v))
				next = shareKey(id, a+1, 0)
				return errEnough
			})
			if err != nil && !errors.Is(err, errEnough) {
				return nil, failure(err)
			}
			from = next
		}
	}
	slices.Sort(users)
	return slices.Compact(users), nil
}

// shareKey is the key of an entry that allows something, in the list of a
// mailbox or, with the number 0, of the account itself.
func shareKey(identifier string, a accountID, id storage.MailboxID) []byte {
	k := make([]byte, 0, len(identifier)+18)
	k = append(append(append(k, keyShare), identifier...), 0)
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(k, uint64(a)), uint64(id))
}

func parseShareKey(k []byte) (a accountID, id storage.MailboxID, ok bool) {
	n := len(k) - 17
	if n < 2 || k[n] != 0 {
		return 0, 0, false
	}
	return accountID(binary.BigEndian.Uint64(k[n+1:])), storage.MailboxID(binary.BigEndian.Uint64(k[n+9:])), true
}

// share lists whom the list of a mailbox, or of the account with the number 0,
// allows something, in place of those whom the list before it did.
func (g *grown) share(id storage.MailboxID, before, after storage.ACL) {
	g.shareAs(g.user, g.tree.id, id, before, after)
}

func (t tx) shareAs(user string, a accountID, id storage.MailboxID, before, after storage.ACL) {
	had := make(map[string]bool, len(before))
	for _, e := range before {
		had[e.Identifier] = e.Shares()
	}
	for _, e := range after {
		if e.Shares() && !had[e.Identifier] {
			t.Set(shareKey(e.Identifier, a, id), []byte(user))
		}
		if e.Shares() {
			had[e.Identifier] = false
		}
	}
	for identifier, was := range had {
		if was {
			t.Delete(shareKey(identifier, a, id))
		}
	}
}

// completeShares lists what stores hold that were written before shares were
// listed, or of which that is lost. It costs one look-up in all others.
func (s *Store) completeShares(ctx context.Context) error {
	if _, ok, err := s.e.Get([]byte{keyShare}); err != nil || ok {
		return err
	}
	lists, users, err := s.allLists(ctx)
	if err != nil || users == 0 {
		return err // the first account says that all is listed
	}
	for {
		n := min(len(lists), sharesAtOnce)
		err := s.commit(ctx, nil, func(t tx) error {
			for _, l := range lists[:n] {
				t.shareAs(l.user, l.account, l.mailbox, nil, l.acl)
			}
			if n == len(lists) {
				t.Set([]byte{keyShare}, nil)
			}
			return nil
		})
		if lists = lists[n:]; err != nil || len(lists) == 0 {
			return err
		}
	}
}

// sharesAtOnce bounds the lists of one change, each of which has at most 16 KiB
// of identifiers.
const sharesAtOnce = 500

// ownedList is the list of a mailbox or of an account.
type ownedList struct {
	user    string
	account accountID
	mailbox storage.MailboxID // 0: of the account
	acl     storage.ACL
}

// allLists returns all lists that can be read and are not empty, and how many
// accounts there are.
func (s *Store) allLists(ctx context.Context) (lists []ownedList, accounts int, err error) {
	users := make(map[accountID]string)
	err = s.e.Scan(ctx, []byte{keyAccount}, []byte{keyAccount + 1}, func(k, v []byte) error {
		rec, err := parseAccount(v)
		if err != nil {
			return nil
		}
		users[rec.id] = string(k[1:])
		if len(rec.acl) > 0 {
			lists = append(lists, ownedList{string(k[1:]), rec.id, 0, rec.acl})
		}
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	err = s.e.Scan(ctx, []byte{keyName}, []byte{keyName + 1}, func(k, v []byte) error {
		n, ok := number(k, 0)
		b, err := parseBox(v)
		user := users[accountID(n)]
		if ok && err == nil && user != "" && len(b.acl) > 0 {
			lists = append(lists, ownedList{user, accountID(n), b.id, b.acl})
		}
		return nil
	})
	return lists, len(users), err
}
