output "log" {
  description = "For --log."
  value       = "datastore://${var.project}/${google_firestore_database.log.name}"
}

output "notify" {
  description = "For --notify."
  value       = "pubsub://${var.project}/${google_pubsub_topic.doorbell.name}"
}

output "image" {
  description = "What the image is called."
  value       = "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.images.repository_id}/rollforward"
}
