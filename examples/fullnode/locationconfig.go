package main

import (
	"errors"

	storagelocal "github.com/posthouse-mail/posthouse/storage/local"
)

// LocationConfig is a directory where mail is kept. The locations are filled in
// their order; without any, mail is kept in the data directory alone.
type LocationConfig struct {
	Path     string `toml:"path"`      // an existing directory, as a disk that is mounted there
	Limit    size   `toml:"limit"`     // "100G"; 0: as much as the disk has
	ReadOnly bool   `toml:"read_only"` // what is there is read, and nothing is written
}

func (c *Config) validateLocations() error {
	for _, l := range c.Locations {
		if l.Path == "" {
			return errors.New("a location has no path")
		}
	}
	return nil
}

// storeOptions are those of the mail store.
func (c *Config) storeOptions() storagelocal.Options {
	o := storagelocal.Options{Settings: c.settings(), Text: storagelocal.Text{Mode: storagelocal.TextMode(c.Storage.TextIndex)}}
	for _, l := range c.Locations {
		o.Locations = append(o.Locations, storagelocal.Location{Path: l.Path, Limit: int64(l.Limit), ReadOnly: l.ReadOnly})
	}
	return o
}
