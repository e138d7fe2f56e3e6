package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/directory/embedded"
	"github.com/posthouse-mail/posthouse/examples/internal/datadir"
	"github.com/posthouse-mail/posthouse/mail"
	queuelocal "github.com/posthouse-mail/posthouse/queue/local"
	"github.com/posthouse-mail/posthouse/storage"
	storagelocal "github.com/posthouse-mail/posthouse/storage/local"
)

// opened is an open data directory: who there is, what they have, and what
// still has to be sent. Mail and queue share one log.
type opened struct {
	data      *datadir.Dir
	hostname  string
	settings  func(domain string) storage.Settings // of the store's accounts
	directory *embedded.Directory                  // of the node's own accounts
	resolver  directory.Directory                  // and what LDAP directories know
	store     *storagelocal.Store
	queue     *queuelocal.Queue
	logins    *logins
}

func openData(c *Config, data *datadir.Dir) (*opened, error) {
	return openDataWith(c, data, func(*storagelocal.Options) {})
}

// openDataWith is openData with options of the store that are not in the
// configuration.
func openDataWith(c *Config, data *datadir.Dir, adjust func(*storagelocal.Options)) (*opened, error) {
	o := &opened{data: data, hostname: c.Hostname}
	var err error
	if o.directory, err = embedded.Open(data.File("directory.jsonl")); err != nil {
		return nil, fmt.Errorf("directory: %w", err)
	}
	options := c.storeOptions()
	options.Notice = o.notice
	adjust(&options)
	o.settings = options.Settings
	if o.store, err = storagelocal.Open(data.File("mail"), options); err != nil {
		o.Close()
		return nil, fmt.Errorf("mail store: %w", err)
	}
	if o.queue, err = queuelocal.New(o.store, queuelocal.Options{}); err != nil {
		o.Close()
		return nil, fmt.Errorf("queue: %w", err)
	}
	if err = o.openLogins(c); err != nil {
		o.Close()
		return nil, err
	}
	return o, nil
}

// Close closes what was opened: the queue before the store, in whose log it is.
func (o *opened) Close() error {
	var errs []error
	if o.logins != nil {
		errs = append(errs, o.logins.Close())
	}
	if o.queue != nil {
		errs = append(errs, o.queue.Close())
	}
	if o.store != nil {
		errs = append(errs, o.store.Close())
	}
	if o.directory != nil {
		errs = append(errs, o.directory.Close())
	}
	return errors.Join(errs...)
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

// addAccount adds an account.
func (o *opened) addAccount(ctx context.Context, a directory.Account) error {
	name, err := o.address(ctx, a.Name)
	if err != nil {
		return err
	}
	a.Name = name.Key()
	return o.directory.AddAccount(ctx, a)
}
