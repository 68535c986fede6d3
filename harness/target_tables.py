"""Tables and columns of wakestorm's schema that a target may call otherwise; a test holds them current. Pure."""

from typing import Final


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "devices": _words(
        "device_id device_mac device_code device_name site_id program_id company_id is_active provisioning_status "
        "device_type wake_schedule_cron last_seen_at last_wake_at next_wake_at battery_voltage "
        "battery_health_percent wifi_rssi firmware_version hardware_version manual_wake_override "
        "manual_wake_requested_by manual_wake_requested_at created_at updated_at protocol_version topic_family "
        "location"
    ),
    "device_images": _words(
        "image_id device_id image_name image_url image_size captured_at received_at total_chunks received_chunks "
        "status error_code metadata created_at updated_at retry_count max_retries failed_at timeout_reason "
        "session_id last_chunk_at wire_image_name captured_at_source chunk_size_bytes sha256 object_key attempt "
        "dialect completed_at original_image_id"
    ),
    "device_image_chunks": _words("image_id chunk_index data received_at"),
    "device_wake_sessions": _words(
        "session_id device_id site_id program_id company_id wake_timestamp session_duration_ms "
        "next_wake_scheduled connection_success wifi_retry_count mqtt_connected image_captured image_id "
        "chunks_sent chunks_total chunks_missing transmission_complete pending_images_count was_offline_capture "
        "telemetry_data error_codes status created_at updated_at ended_at last_message_at topic_family "
        "hello_digest answer answer_image_id payload_id pending_list message_count chunk_duplicates asked_at "
        "missing_rounds backlog_asked offers_expected images_stored"
    ),
    "device_wake_payloads": _words(
        "payload_id device_id site_id program_id company_id captured_at received_at device_image_id image_status "
        "payload_status wake_type chunk_count chunks_received is_complete temperature humidity pressure "
        "gas_resistance battery_voltage wifi_rssi telemetry_data protocol_state server_image_name ack_sent_at "
        "snap_sent_at sleep_sent_at created_at updated_at session_id"
    ),
    "device_commands": _words(
        "command_id device_id command_type command_payload status retry_count issued_by issued_at delivered_at "
        "acknowledged_at published_at completed_at created_at updated_at priority scheduled_for expires_at "
        "max_retries error_message device_image_id"
    ),
    "device_alerts": _words(
        "alert_id device_id alert_type severity message metadata triggered_at resolved_at resolved_by "
        "resolution_notes device_image_id"
    ),
    "device_history": _words(
        "history_id device_id event_category event_type severity event_timestamp event_data session_id description"
    ),
    "device_ack_log": _words(
        "ack_id device_id device_mac image_name image_id ack_type next_wake_time missing_chunks missing_count "
        "mqtt_topic mqtt_payload mqtt_success mqtt_error published_at"
    ),
    "duplicate_images_log": _words(
        "log_id device_id image_id image_name original_captured_at duplicate_received_at duplicate_metadata "
        "session_id duplicate_count"
    ),
}
"""Own table -> its columns."""
