package logcmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/eventlog/pebblelog"
	"github.com/rollforward/rollforward/internal/cli"
)

func newBackup(store *cli.Store) *cobra.Command {
	return &cobra.Command{
		Use:   "backup DIR",
		Short: "Copy the log, consistently, to a new directory",
		Long: `Backup makes a consistent copy of the log in DIR, which must not exist. The
copy is a log like any other: every command can open it. On the same file system
it shares files with the log and costs little space at first; a backup against the
loss of the disk belongs on another one. A program that has the log open makes
backups itself, with pebblelog's Backup.`,
		Example: `  eventlog backup /backups/2026-11-22 && eventlog verify --log /backups/2026-11-22`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			d, err := store.OpenDirectory(cmd.Context(), cli.Write)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, d.Close()) }()
			stop := watchCopy(cmd, "backup", d.Dir(), args[0])
			err = d.Backup(cmd.Context(), args[0])
			stop()
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "backup of %s made in %s\n", d.Dir(), args[0])
			return nil
		},
	}
}

func newRestore(store *cli.Store) *cobra.Command {
	return &cobra.Command{
		Use:   "restore BACKUP",
		Short: "Make the log of a backup",
		Long: `Restore makes the log that --log names, which must not exist, of the one in
the directory BACKUP. It reads all of the backup first: of a damaged one no log is
made. The two share no files afterwards.`,
		Example: `  eventlog restore /backups/2026-11-22 --log data`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			to, err := store.Dir()
			if err != nil {
				return err
			}
			stop := watchCopy(cmd, "restore", args[0], to)
			err = pebblelog.Restore(cmd.Context(), args[0], to, nil)
			stop()
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%s restored to %s\n", args[0], to)
			return nil
		},
	}
}

// watchCopy tells how much of a directory has been copied.
func watchCopy(cmd *cobra.Command, what, from, to string) (stop func()) {
	progress := cli.StartProgress(cmd.ErrOrStderr(), what, "bytes")
	ctx, cancel := context.WithCancel(cmd.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		total := dirSize(from)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				progress.Set(dirSize(to), total)
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() {
		cancel()
		<-done
		progress.Stop()
	}
}

// dirSize is the size of the files in a directory; what cannot be read counts
// nothing.
func dirSize(dir string) (n int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		if info, err := d.Info(); err == nil {
			n += info.Size()
		}
		return nil
	})
	return n
}
