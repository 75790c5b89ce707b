package main

import "github.com/spf13/cobra"

func demo(cmd *cobra.Command, _ []string) error { return nil }
