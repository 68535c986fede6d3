-- What the device may go on with under that name; no row where nothing is incomplete.
CREATE FUNCTION fn_check_image_resumable(p_device_id uuid, p_image_name text)
RETURNS TABLE (image_id uuid, status text, received_chunks integer, total_chunks integer, can_resume boolean)
LANGUAGE sql STABLE
AS $$
    SELECT i.image_id, i.status, i.received_chunks, i.total_chunks, true
    FROM device_images i
    WHERE i.device_id = p_device_id AND i.image_name = p_image_name AND i.status IN ('pending', 'receiving')
$$;
