package local

import (
	"context"

	"github.com/posthouse-mail/posthouse/storage"
)

// shares checks that whom a clean list allows something is listed.
func (t *treeCheck) shares(of string, id storage.MailboxID, list storage.ACL) error {
	for _, e := range list {
		if !e.Shares() {
			continue
		}
		key := shareKey(e.Identifier, t.rec.id, id)
		t.c.shares[string(key)] = struct{}{}
		user, ok, err := t.c.snap.Get(key)
		if err != nil {
			return err
		}
		if !ok || string(user) != t.of.user {
			t.found(DamageUnlistedShare, "what %s allows %q is not listed", of, e.Identifier)
		}
	}
	return nil
}

// shared looks for what is listed as shared and is not. It comes when all
// lists have been met.
func (c *checker) shared(ctx context.Context) error {
	return c.snap.Scan(ctx, []byte{keyShare}, []byte{keyShare + 1}, func(k, _ []byte) error {
		if _, ok := c.shares[string(k)]; !ok && len(k) > 1 {
			c.found(DamageStrayShare, subject{key: string(k)}, "index", "key %q says that something is shared which is not", k)
		}
		return nil
	})
}
