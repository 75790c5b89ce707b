package dsdoctor

import (
	"context"
	"errors"
	"net/http"

	firestore "google.golang.org/api/firestore/v1"
	"google.golang.org/api/googleapi"

	"github.com/rollforward/rollforward/internal/doctor"
)

// mode asks the service what kind of database it is.
func (x *examination) mode(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	db, err := x.database(ctx)
	if err != nil {
		do := "give the account roles/datastore.viewer, and enable firestore.googleapis.com; nothing else needs it"
		var refused *googleapi.Error
		if errors.As(err, &refused) && refused.Code == http.StatusNotFound {
			do = "check the name of the database: the data can be reached, but there is no such database"
		}
		x.report.Add("mode", doctor.Unknown, do, "the service does not say: %v", err)
		return
	}
	switch {
	case db.Type != "DATASTORE_MODE":
		x.report.Add("mode", doctor.Bad, "a database keeps its mode: create one with --type=datastore-mode and name it", "%s is of type %s, in %s", db.Name, db.Type, db.LocationId)
	case db.ConcurrencyMode == "OPTIMISTIC_WITH_ENTITY_GROUPS":
		x.report.Add("mode", doctor.Warning, "set its concurrency mode to OPTIMISTIC or PESSIMISTIC: entity groups take about one write a second each",
			"Datastore mode in %s, concurrency %s", db.LocationId, db.ConcurrencyMode)
	default:
		x.report.Add("mode", doctor.Good, "", "Datastore mode in %s, concurrency %s", db.LocationId, db.ConcurrencyMode)
	}
	if db.DeleteProtectionState == "DELETE_PROTECTION_DISABLED" {
		x.report.Add("protection", doctor.Warning, "protect the database from being deleted: gcloud firestore databases update --delete-protection", "the database can be deleted by one command")
	}
}

func (x *examination) database(ctx context.Context) (*firestore.GoogleFirestoreAdminV1Database, error) {
	admin, err := firestore.NewService(ctx, x.AdminOptions...)
	if err != nil {
		return nil, err
	}
	id := x.ID
	if id == "" {
		id = "(default)"
	}
	return admin.Projects.Databases.Get("projects/" + x.Project + "/databases/" + id).Context(ctx).Do()
}
