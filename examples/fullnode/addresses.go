package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"

	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/storage"
)

// What leads to accounts: domains, aliases, groups and addresses of folders.

func (c *control) handleAddresses() {
	c.handle("GET /domains", c.listDomains)
	c.handle("POST /domains/{name}", c.addDomain)
	c.handle("DELETE /domains/{name}", c.removeDomainAlias)
	c.handle("PUT /domains/{name}/catch-all", c.setCatchAll)
	c.handle("GET /aliases", c.listAliases)
	c.handle("POST /aliases/{name}", c.addAlias)
	c.handle("DELETE /aliases/{name}", c.removeAlias)
	c.handle("GET /groups", c.listGroups)
	c.handle("PUT /groups/{name}", c.setGroup)
	c.handle("DELETE /groups/{name}", c.removeGroup)
	c.handle("PUT /folders/{name}", c.setFolder)
}

// listDomains answers a line per domain: the primary one first.
func (c *control) listDomains(w http.ResponseWriter, r *http.Request) error {
	domains, err := c.open.directory.Domains(r.Context())
	for _, d := range domains {
		fmt.Fprintln(w, d)
	}
	return err
}

func (c *control) addDomain(_ http.ResponseWriter, r *http.Request) error {
	if of := r.URL.Query().Get("of"); of != "" {
		return c.open.directory.AddDomainAlias(r.Context(), r.PathValue("name"), of)
	}
	return c.open.directory.AddDomain(r.Context(), r.PathValue("name"))
}

func (c *control) removeDomainAlias(_ http.ResponseWriter, r *http.Request) error {
	return c.open.directory.RemoveDomainAlias(r.Context(), r.PathValue("name"))
}

func (c *control) setCatchAll(_ http.ResponseWriter, r *http.Request) error {
	to, err := c.recipient(r)
	if err != nil {
		return err
	}
	return c.open.directory.SetCatchAll(r.Context(), r.PathValue("name"), to)
}

// recipient reads who shall get mail: nobody, an account, one of its
// mailboxes, or a foreign address.
func (c *control) recipient(r *http.Request) (directory.Recipient, error) {
	to, folder := r.URL.Query().Get("to"), r.URL.Query().Get("folder")
	if to == "" {
		return directory.Recipient{}, nil
	}
	if storage.IsPublic(to) {
		return directory.Recipient{Account: storage.PublicAccount(mail.DomainKey(storage.Domain(to))), Folder: folder}, nil
	}
	a, err := c.open.directory.Account(r.Context(), to)
	if errors.Is(err, directory.ErrUnknown) && folder == "" {
		foreign, err := c.open.address(r.Context(), to)
		return directory.Recipient{Forward: foreign}, err
	}
	return directory.Recipient{Account: a.Name, Folder: folder}, err
}

// listAliases answers a line per alias that leads to an account.
func (c *control) listAliases(w http.ResponseWriter, r *http.Request) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for a, err := range c.open.directory.List(r.Context()) {
		if err != nil {
			return err
		}
		for _, alias := range a.Aliases {
			fmt.Fprintf(t, "%s\t%s\n", alias, a.Name)
		}
	}
	return t.Flush()
}

func (c *control) addAlias(_ http.ResponseWriter, r *http.Request) error {
	alias, err := c.open.address(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	return c.open.directory.AddAlias(r.Context(), alias, r.URL.Query().Get("to"))
}

func (c *control) removeAlias(_ http.ResponseWriter, r *http.Request) error {
	alias, err := c.open.address(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	return c.open.directory.RemoveAlias(r.Context(), alias)
}

// listGroups answers a line per group.
func (c *control) listGroups(w http.ResponseWriter, r *http.Request) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for g, err := range c.open.directory.Groups(r.Context()) {
		if err != nil {
			return err
		}
		fmt.Fprintf(t, "%s\t%s\n", g.Name, strings.Join(g.Members, " "))
	}
	return t.Flush()
}

func (c *control) setGroup(_ http.ResponseWriter, r *http.Request) error {
	name, err := c.open.address(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	return c.open.directory.SetGroup(r.Context(), directory.Group{Name: name.Key(), Members: r.URL.Query()["member"]})
}

func (c *control) removeGroup(_ http.ResponseWriter, r *http.Request) error {
	return c.open.directory.RemoveGroup(r.Context(), r.PathValue("name"))
}

func (c *control) setFolder(_ http.ResponseWriter, r *http.Request) error {
	name, err := c.open.address(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	to, err := c.recipient(r)
	if err != nil {
		return err
	}
	return c.open.directory.SetFolder(r.Context(), name, to)
}

// addresses is the commands that begin with domain, alias, group or folder.
func (c *command) addresses(args []string) (func(ctx context.Context) error, error) {
	verb, words := strings.Join(args[:min(2, len(args))], " "), args[min(2, len(args)):]
	if len(words) == 0 && !strings.HasSuffix(verb, " list") {
		return nil, errAddresses
	}
	switch {
	case verb == "domain list" && len(words) == 0:
		return c.simple(http.MethodGet, "/domains"), nil
	case verb == "domain add" && len(words) == 1:
		return c.simple(http.MethodPost, pathTo("/domains/", words[0])), nil
	case verb == "domain alias" && len(words) == 2:
		return c.simple(http.MethodPost, pathTo("/domains/", words[0], "of", words[1])), nil
	case verb == "domain unalias" && len(words) == 1:
		return c.simple(http.MethodDelete, pathTo("/domains/", words[0])), nil
	case verb == "domain catch-all" && len(words) <= 3:
		return c.simple(http.MethodPut, "/domains/"+url.PathEscape(words[0])+"/catch-all?"+place(words[1:])), nil
	case verb == "alias list" && len(words) == 0:
		return c.simple(http.MethodGet, "/aliases"), nil
	case verb == "alias add" && len(words) == 2:
		return c.simple(http.MethodPost, pathTo("/aliases/", words[0], "to", words[1])), nil
	case verb == "alias remove" && len(words) == 1:
		return c.simple(http.MethodDelete, pathTo("/aliases/", words[0])), nil
	case verb == "group list" && len(words) == 0:
		return c.simple(http.MethodGet, "/groups"), nil
	case verb == "group set":
		return c.simple(http.MethodPut, "/groups/"+url.PathEscape(words[0])+"?"+url.Values{"member": words[1:]}.Encode()), nil
	case verb == "group remove" && len(words) == 1:
		return c.simple(http.MethodDelete, pathTo("/groups/", words[0])), nil
	case verb == "folder set" && len(words) == 3, verb == "folder remove" && len(words) == 1:
		return c.simple(http.MethodPut, "/folders/"+url.PathEscape(words[0])+"?"+place(words[1:])), nil
	}
	return nil, errAddresses
}

// place is an account or address, and a mailbox of it, as a query.
func place(words []string) string {
	values := make(url.Values)
	for i, key := range [...]string{"to", "folder"} {
		if i < len(words) {
			values.Set(key, words[i])
		}
	}
	return values.Encode()
}

var errAddresses = errors.New("unknown use of domain, alias, group or folder; -help shows the commands")
