# Firestore in Datastore mode. The log needs no composite index.
resource "google_firestore_database" "log" {
  name                              = var.database
  location_id                       = var.location
  type                              = "DATASTORE_MODE"
  concurrency_mode                  = "OPTIMISTIC" # a lost race is told at the commit, nobody waits for locks
  app_engine_integration_mode       = "DISABLED"
  point_in_time_recovery_enablement = "POINT_IN_TIME_RECOVERY_ENABLED"
  delete_protection_state           = "DELETE_PROTECTION_ENABLED"

  depends_on = [google_project_service.needed]
}

resource "google_firestore_backup_schedule" "daily" {
  database  = google_firestore_database.log.name
  retention = "1209600s" # two weeks

  daily_recurrence {}
}
