package ldap_test

import (
	"context"
	"log/slog"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/directory/ldap"
	"github.com/posthouse-mail/posthouse/mapping"
)

// Caches of routes and of logins follow the directory that they stand before.
func ExampleConnector_Watch() {
	keepFresh := func(ctx context.Context, directory *ldap.Connector, routes *mapping.Cache, logins *auth.Cache) {
		err := directory.Watch(ctx, func(c ldap.Change) {
			if c.All {
				routes.InvalidateAll()
				logins.ForgetAll()
			}
			for _, name := range c.Names() {
				routes.Invalidate(name)
				logins.Forget(name)
			}
		})
		// Without a directory that tells of changes, entries live for their time.
		slog.Warn("caches do not follow the directory any more", "err", err)
	}
	_ = keepFresh
}
