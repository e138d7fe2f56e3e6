package passwdfile

import (
	"context"
	"hash/maphash"

	"github.com/posthouse-mail/posthouse/auth"
)

// Table is an Authenticator over the lines of a password file, which never
// change. It has the powers that File has.
type Table struct {
	o       Options
	entries []entry
	byName  map[string]int // of entries, by Options.fullName
	kinds   auth.Kinds     // of all entries
	seed    maphash.Seed   // of who stands in for whom
}

// maxName bounds a name and a login, in octets.
const maxName = 512

// Len returns how many lines with a name the table has.
func (t *Table) Len() int { return len(t.entries) }

// find returns the entry of a login. For somebody who has none or whose is
// locked it returns somebody else's, always the same one, so that to check his
// password takes as long.
func (t *Table) find(login string) (e *entry, known bool) {
	name := ""
	if len(login) <= maxName {
		name = t.o.fullName(login)
	}
	i, ok := t.byName[name]
	if ok && t.entries[i].stored != "" {
		return &t.entries[i], true
	}
	if len(t.entries) == 0 {
		return nil, false
	}
	start := maphash.String(t.seed, name) % uint64(len(t.entries))
	for j := range t.entries {
		if e := &t.entries[(int(start)+j)%len(t.entries)]; e.stored != "" {
			return e, false
		}
	}
	return nil, false
}

// Authenticate verifies a password, or a Response over what is stored. An
// authorization identity must be a name of the same account.
func (t *Table) Authenticate(ctx context.Context, c auth.Credentials) (auth.Identity, error) {
	if err := ctx.Err(); err != nil {
		return auth.Identity{}, unavailable(err)
	}
	e, known := t.find(c.User)
	if e == nil {
		return auth.Identity{}, auth.ErrBadCredentials
	}
	ok, err := t.fits(ctx, e, &c)
	switch {
	case err != nil:
		return auth.Identity{}, unavailable(err)
	case !ok || !known || !e.mayComeFrom(c.Remote):
		return auth.Identity{}, auth.ErrBadCredentials
	case e.flags&noLogin != 0:
		return auth.Identity{}, auth.ErrDisabled
	}
	if c.AuthzID != "" {
		if other, known := t.find(c.AuthzID); !known || other.account != e.account {
			return auth.Identity{}, auth.ErrBadCredentials
		}
	}
	return auth.Identity{User: e.account}, nil
}

// fits checks what was shown against what is stored.
func (t *Table) fits(ctx context.Context, e *entry, c *auth.Credentials) (bool, error) {
	switch p := c.Proof.(type) {
	case nil:
		return t.o.Verifier.Verify(ctx, e.stored, c.Password)
	case *auth.Response:
		secret, ok := t.o.Verifier.Secret(e.stored, p.Scheme)
		return ok && p.Check(secret), nil
	}
	return false, nil
}

// AccountName returns the name of the account that somebody logs in to.
// ErrBadCredentials.
func (t *Table) AccountName(_ context.Context, login string) (string, error) {
	if len(login) <= maxName {
		if i, ok := t.byName[t.o.fullName(login)]; ok {
			return t.entries[i].account, nil
		}
	}
	return "", auth.ErrBadCredentials
}

// Proofs returns what can be checked for any of the lines.
func (t *Table) Proofs() auth.Kinds { return t.kinds }

// Secret returns what SCRAM and its like need to know of a user.
func (t *Table) Secret(_ context.Context, user, scheme string) (auth.Secret, error) {
	if e, known := t.find(user); known {
		if secret, ok := t.o.Verifier.Secret(e.stored, scheme); ok {
			return secret, nil
		}
	}
	return auth.Secret{}, auth.ErrBadCredentials
}
