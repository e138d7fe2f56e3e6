package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/auth/accountauth"
	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/directory/embedded"
	"github.com/posthouse-mail/posthouse/mail"
	queuelocal "github.com/posthouse-mail/posthouse/queue/local"
	storagelocal "github.com/posthouse-mail/posthouse/storage/local"
)

// opened is an open data directory: who there is, what they have, and what
// still has to be sent. Mail and queue share one log.
type opened struct {
	data      *dataDir
	directory *embedded.Directory
	store     *storagelocal.Store
	queue     *queuelocal.Queue
	logins    *auth.Cache // checks passwords, for every service
}

func openData(c *Config, data *dataDir) (*opened, error) {
	o := &opened{data: data}
	var err error
	if o.directory, err = embedded.Open(data.file("directory.jsonl")); err != nil {
		return nil, fmt.Errorf("directory: %w", err)
	}
	if o.store, err = storagelocal.Open(data.file("mail"), storagelocal.Options{}); err != nil {
		o.Close()
		return nil, fmt.Errorf("mail store: %w", err)
	}
	if o.queue, err = queuelocal.New(o.store, queuelocal.Options{}); err != nil {
		o.Close()
		return nil, fmt.Errorf("queue: %w", err)
	}
	// From the outside in: a success is remembered, a failure slows its
	// network and its user down, and the password's hash decides.
	o.logins = auth.NewCache(auth.NewThrottle(accountauth.New(o.directory), auth.ThrottleOptions{}), auth.CacheOptions{TTL: 5 * time.Minute})
	return o, nil
}

// Close closes what was opened, the store last: the queue is in its log.
func (o *opened) Close() error {
	var err error
	if o.queue != nil {
		err = o.queue.Close()
	}
	if o.store != nil {
		if e := o.store.Close(); err == nil {
			err = e
		}
	}
	if o.directory != nil {
		if e := o.directory.Close(); err == nil {
			err = e
		}
	}
	return err
}

// address reads the name of an account: an address, or the local part of one
// of the primary domain.
func (o *opened) address(ctx context.Context, name string) (mail.Address, error) {
	if !strings.Contains(name, "@") {
		domains, err := o.directory.Domains(ctx)
		if err != nil {
			return mail.Address{}, err
		}
		if len(domains) > 0 {
			name += "@" + domains[0]
		}
	}
	return mail.ParseAddress(name)
}

// addAccount adds an account with a password's hash.
func (o *opened) addAccount(ctx context.Context, name, hash string) error {
	a, err := o.address(ctx, name)
	if err != nil {
		return err
	}
	return o.directory.AddAccount(ctx, directory.Account{Name: a.Key(), Password: hash})
}

// check verifies everything in the data directory and reports a line per damage.
func (o *opened) check(ctx context.Context, report func(line string)) error {
	return o.store.Check(ctx, func(d storagelocal.Damage) { report(d.String()) }, o.queue.References)
}
