package main

import (
	"context"
	"errors"
	"net/http"

	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/examples/internal/moving"
	"github.com/posthouse-mail/posthouse/storage"
)

// moving answers the commands that move accounts from or to another node.
func (c *control) moving() http.Handler {
	return &moving.Handler{Store: c.open.store, SpoolDir: c.open.data.File("spool"), Name: c.open.storeName}
}

// storeName returns under which name the store has the account of a user, or
// the public folders of a domain. The directory may not know who has gone, or
// is yet to come: his name is the address then.
func (o *opened) storeName(ctx context.Context, name string) (string, error) {
	if storage.IsPublic(name) {
		return name, nil
	}
	accounts, _ := directory.As[directory.Accounts](o.resolver)
	a, err := accounts.Account(ctx, name)
	if !errors.Is(err, directory.ErrUnknown) {
		return a.Name, err
	}
	address, err := o.address(ctx, name)
	return address.Key(), err
}
