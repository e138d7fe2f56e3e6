package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/posthouse-mail/posthouse/directory/ldap"
	"github.com/posthouse-mail/posthouse/examples/internal/config"
	"github.com/posthouse-mail/posthouse/mapping/ldapmap"
)

// ldapTest is the command ldap test: it asks a directory about one user, as
// the servers do, and says what it finds and what is missing.
func ldapTest(ctx context.Context, c *command, args []string) error {
	flags := flag.NewFlagSet("ldap test", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	user := flags.String("user", "", "")
	name := flags.String("connector", "", "")
	withPassword := flags.Bool("password", false, "")
	if len(args) == 0 || args[0] != "test" || flags.Parse(args[1:]) != nil || flags.NArg() > 0 || *user == "" {
		return errors.New("unknown use of ldap; -help shows the commands")
	}
	config, err := c.config.chosenLDAP(name)
	if err != nil {
		return err
	}
	connector, err := config.Connector()
	if err != nil {
		return fmt.Errorf("ldap.%s: %w", *name, err)
	}
	defer connector.Close()
	t := &ldapReport{table: tabwriter.NewWriter(c.out, 0, 8, 2, ' ', 0), config: connector.Config(), connector: connector, check: config.Check, user: *user}
	if *withPassword {
		if t.password, err = c.readPassword(); err != nil {
			return err
		}
	}
	return t.run(ctx, *name)
}

// chosenLDAP returns the connector of a name, or the only one there is.
func (c *Config) chosenLDAP(name *string) (*config.LDAP, error) {
	names := slices.Sorted(maps.Keys(c.LDAP))
	if *name == "" && len(names) == 1 {
		*name = names[0]
	}
	if config := c.LDAP[*name]; config != nil {
		return config, nil
	}
	if len(names) == 0 {
		return nil, errors.New("the configuration has no connector under [ldap]")
	}
	return nil, fmt.Errorf("which connector? -connector is one of %s", strings.Join(names, ", "))
}

// ldapReport is a test on its way.
type ldapReport struct {
	table     *tabwriter.Writer
	config    ldap.Config
	connector *ldap.Connector
	check     string
	user      string
	password  string // empty: none was given
	missing   []string
}

func (t *ldapReport) line(what, format string, args ...any) {
	fmt.Fprintf(t.table, "%s\t%s\n", what, fmt.Sprintf(format, args...))
}

// lacks notes what is missing, as a sentence.
func (t *ldapReport) lacks(format string, args ...any) {
	t.missing = append(t.missing, fmt.Sprintf(format, args...))
}

func (t *ldapReport) run(ctx context.Context, name string) error {
	t.line("connector", "%s (%s)", name, t.config.Type)
	who := t.config.BindDN
	if who == "" {
		who = "nobody (anonymous)"
	}
	t.line("searches as", "%s", who)
	t.line("filter", "%s", t.connector.UserFilter(t.user))
	t.line("below", "%s (%s)", t.config.Base, t.config.Scope)
	if entry := t.find(ctx); entry != nil {
		t.attributes(entry)
		t.groups(ctx, entry)
		t.route(ctx, entry)
		t.tryPassword(ctx, entry)
	}
	for _, s := range t.connector.Servers() {
		state := "answers"
		if !s.Up {
			state = fmt.Sprintf("is down: %v", s.Last)
		}
		t.line("server", "%s %s", s.URI, state)
	}
	if len(t.missing) == 0 {
		t.line("result", "Nothing is missing.")
		return t.table.Flush()
	}
	t.line("result", "%s.", strings.Join(t.missing, "; "))
	return errors.Join(t.table.Flush(), errReported)
}

// find looks the user up, and says why there is no entry of his.
func (t *ldapReport) find(ctx context.Context) *ldap.Entry {
	var more []string
	if t.config.Attributes.Password != "" {
		more = append(more, t.config.Attributes.Password)
	}
	entry, err := t.connector.Lookup(ctx, t.user, more...)
	switch {
	case err == nil:
		t.line("entry", "%s", entry.DN)
		return entry
	case errors.Is(err, ldap.ErrNoEntry) && t.config.BindDN == "":
		t.line("entry", "none")
		t.lacks("The filter matches no entry that may be seen without a login, and no bind_dn is set")
	case errors.Is(err, ldap.ErrNoEntry):
		t.line("entry", "none")
		t.lacks("The filter matches no entry that %s may see", t.config.BindDN)
	case errors.Is(err, ldap.ErrSeveral):
		t.several(ctx)
	default:
		t.line("entry", "not known: %v", err)
		t.lacks("The directory did not answer the search: %v", err)
	}
	return nil
}

// several names the entries that fit one user.
func (t *ldapReport) several(ctx context.Context) {
	found, err := t.connector.Search(ctx, ldap.Query{Scope: t.config.Scope, Filter: t.connector.UserFilter(t.user), Limit: 20})
	for _, e := range found {
		t.line("entry", "%s", e.DN)
	}
	if err != nil {
		t.line("entry", "more than can be shown: %v", err)
	}
	t.lacks("The filter matches several entries, and several = \"first\" is not set")
}

// attributes shows those that are used. Of a password it shows that it is there.
func (t *ldapReport) attributes(e *ldap.Entry) {
	a := t.config.Attributes
	for _, used := range [][2]string{
		{a.Mail, "main address"}, {a.Login, "login"}, {a.Aliases, "further address"}, {a.Forward, "mail goes on to"}, {a.Host, "back end"},
	} {
		for _, value := range e.All(used[0]) {
			t.line(used[0], "%s (%s)", printable(value), used[1])
		}
	}
	t.line("account", "%s", t.config.AccountName(e, t.user))
	if a.Password == "" {
		return
	}
	readable := len(e.All(a.Password)) > 0
	switch {
	case readable:
		t.line(a.Password, "is there, and may be read (password)")
	case t.check == config.CheckCompare:
		t.line(a.Password, "is not there, or may not be read (password)")
		t.lacks("There is no %s to compare a password with, or %s may not read it", a.Password, t.config.BindDN)
	default:
		t.line(a.Password, "may not be read, which a check by a bind does not need (password)")
	}
}

func (t *ldapReport) groups(ctx context.Context, e *ldap.Entry) {
	groups, err := t.connector.GroupsOf(ctx, e)
	if err != nil {
		t.line("groups", "not known: %v", err)
		t.lacks("The groups can't be read: %v", err)
		return
	}
	for _, g := range groups {
		t.line("in group", "%s", g)
	}
	required := t.config.Groups.Required
	if required == "" {
		return
	}
	path, err := t.connector.Member(ctx, e, required)
	switch {
	case err != nil:
		t.line("group path", "not known: %v", err)
		t.lacks("The required group can't be read: %v", err)
	case len(path) == 0:
		t.line("group path", "none to %s", required)
		t.lacks("The entry is not in the required group %s", required)
	default:
		t.line("group path", "%s", strings.Join(path, " in "))
	}
}

// route shows where a front end sends the user.
func (t *ldapReport) route(ctx context.Context, e *ldap.Entry) {
	if t.config.Attributes.Host == "" {
		t.line("routes to", "nowhere: attributes.host names no attribute")
		t.lacks("No attribute is named that holds the back end, so front ends can't route anybody")
		return
	}
	route, err := ldapmap.New(t.connector, ldapmap.Options{}).Route(e)
	switch {
	case err == nil:
		t.line("routes to", "%s", route)
	case errors.Is(err, ldapmap.ErrMissingHost):
		t.line("routes to", "nowhere")
		t.lacks("The entry has no %s, so front ends can't route this user", t.config.Attributes.Host)
	default:
		t.line("routes to", "nowhere: %v", err)
		t.lacks("The %s of the entry leads nowhere: %v", t.config.Attributes.Host, err)
	}
}

func (t *ldapReport) tryPassword(ctx context.Context, e *ldap.Entry) {
	if t.password == "" {
		t.line("password", "not tried (-password reads one)")
		return
	}
	switch err := t.connector.Bind(ctx, e.DN, t.password); {
	case err == nil:
		t.line("password", "works")
	case errors.Is(err, ldap.ErrPassword):
		t.line("password", "is wrong, or the entry has none")
		t.lacks("The password does not work for this entry")
	case errors.Is(err, ldap.ErrDisabled):
		t.line("password", "is right, but the account is closed: %v", err)
		t.lacks("The directory has closed the account")
	default:
		t.line("password", "not known: %v", err)
		t.lacks("The directory did not answer the bind: %v", err)
	}
}
