CALL secure_table(
    'processing_jobs',
    'video_id IN (SELECT v.id FROM videos v JOIN malls m ON m.id = v.mall_id WHERE m.company_id = fn_company_id())'
);
